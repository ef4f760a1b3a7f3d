//! Watches: resuming, selectors, bookmarks, 410.

use std::time::Duration;

use futures::{AsyncBufReadExt, StreamExt, TryStreamExt};
use hyper::{Request, StatusCode};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, WatchEvent, WatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::{Value, json};

use crate::support::{CONFIG_MAPS, Cluster, MERGE, PATIENCE, config_map};

/// The first so many events of a watch, or all until it ends.
async fn events(cluster: &Cluster, query: &str, count: usize) -> Vec<Value> {
    let request = Request::get(format!("{CONFIG_MAPS}?watch=1&{query}")).body(Vec::new()).unwrap();
    let lines = cluster.client.request_stream(request).await.unwrap().lines();
    let read = lines.take(count).map_ok(|line| serde_json::from_str(&line).unwrap()).try_collect();
    tokio::time::timeout(PATIENCE, read).await.expect("the watch says too little").unwrap()
}

fn shown(events: &[Value]) -> Vec<String> {
    events.iter().map(|event| format!("{} {}", event["type"].as_str().unwrap(), event["object"]["metadata"]["name"].as_str().unwrap_or("-"))).collect()
}

#[tokio::test]
async fn a_watch_goes_on_from_a_version() {
    let cluster = Cluster::start().await;
    cluster.ok(cluster.post(CONFIG_MAPS, &config_map("a", &json!({"x": "1"}))).await);
    let (_, list) = cluster.get(CONFIG_MAPS).await;
    let version = list["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    cluster.ok(cluster.patch(&format!("{CONFIG_MAPS}/a"), MERGE, &json!({"data": {"x": "2"}})).await);
    cluster.ok(cluster.post(CONFIG_MAPS, &config_map("b", &json!({}))).await);
    cluster.ok(cluster.delete(&format!("{CONFIG_MAPS}/a")).await);
    let seen = events(&cluster, &format!("resourceVersion={version}"), 3).await;
    assert_eq!(shown(&seen), ["MODIFIED a", "ADDED b", "DELETED a"]);
    let versions: Vec<u64> =
        seen.iter().map(|event| event["object"]["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()).collect();
    assert!(versions.is_sorted() && versions[0] > version.parse().unwrap(), "{versions:?}");
}

#[tokio::test]
async fn a_forgotten_version_is_gone() {
    let cluster = Cluster::start().await;
    let (_, list) = cluster.get(CONFIG_MAPS).await;
    let version = list["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    cluster.ok(cluster.post(CONFIG_MAPS, &config_map("a", &json!({}))).await);
    cluster.sandbox.faults().forget_changes();
    let seen = events(&cluster, &format!("resourceVersion={version}"), 2).await;
    assert_eq!(seen.len(), 1, "it ends after the error");
    assert_eq!(seen[0]["type"], "ERROR");
    assert_eq!((&seen[0]["object"]["code"], &seen[0]["object"]["reason"]), (&json!(410), &json!("Expired")));
}

#[tokio::test]
async fn labels_that_stop_to_match_look_like_a_deletion() {
    let cluster = Cluster::start().await;
    let mut map = config_map("a", &json!({}));
    map["metadata"]["labels"] = json!({"colour": "blue"});
    cluster.ok(cluster.post(CONFIG_MAPS, &map).await);
    let watch = events(&cluster, "labelSelector=colour%3Dblue&resourceVersion=0", 2);
    let change = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        cluster.patch(&format!("{CONFIG_MAPS}/a"), MERGE, &json!({"metadata": {"labels": {"colour": "green"}}})).await
    };
    let (seen, _) = tokio::join!(watch, change);
    assert_eq!(shown(&seen), ["ADDED a", "DELETED a"]);
}

#[tokio::test]
async fn field_selectors_choose_and_unknown_ones_are_refused() {
    let cluster = Cluster::start().await;
    for name in ["a", "b"] {
        cluster.ok(cluster.post(CONFIG_MAPS, &config_map(name, &json!({}))).await);
    }
    let (_, one) = cluster.get(&format!("{CONFIG_MAPS}?fieldSelector=metadata.name%3Db")).await;
    assert_eq!(one["items"].as_array().unwrap().len(), 1);
    let (status, refused) = cluster.get(&format!("{CONFIG_MAPS}?fieldSelector=data.x%3Db")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(refused["message"], "field label not supported: data.x");
}

#[tokio::test]
async fn a_timeout_ends_a_watch_with_a_bookmark() {
    let cluster = Cluster::start().await;
    let (_, list) = cluster.get(CONFIG_MAPS).await;
    let version = list["metadata"]["resourceVersion"].as_str().unwrap();
    let seen = events(&cluster, &format!("timeoutSeconds=1&allowWatchBookmarks=true&resourceVersion={version}"), 9).await;
    assert_eq!(shown(&seen), ["BOOKMARK -"]);
}

#[tokio::test]
async fn lists_come_in_pages() {
    let cluster = Cluster::start().await;
    for name in ["a", "b", "c"] {
        cluster.ok(cluster.post(CONFIG_MAPS, &config_map(name, &json!({}))).await);
    }
    let (_, first) = cluster.get(&format!("{CONFIG_MAPS}?limit=2&labelSelector=!x")).await;
    let names = |list: &Value| -> Vec<String> {
        list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&first), ["a", "b"]);
    let token = first["metadata"]["continue"].as_str().unwrap();
    let (_, rest) = cluster.get(&format!("{CONFIG_MAPS}?limit=2&continue={token}&fieldSelector=metadata.name!%3Dkube-root-ca.crt")).await;
    assert_eq!(names(&rest), ["c"]);
    assert!(rest["metadata"].get("continue").is_none());
}

#[tokio::test]
async fn kubes_watcher_survives_cuts_restarts_and_forgetting() {
    let cluster = Cluster::start().await;
    let api: Api<ConfigMap> = Api::default_namespaced(cluster.client.clone());
    for config in [watcher::Config::default(), watcher::Config::default().streaming_lists()] {
        let mut seen = watcher(api.clone(), config).default_backoff().applied_objects().boxed();
        for (round, break_it) in [0, 1, 2, 3].into_iter().enumerate() {
            match break_it {
                1 => cluster.sandbox.faults().cut_watches(),
                2 => cluster.sandbox.faults().restart_api(),
                3 => cluster.sandbox.faults().forget_changes(),
                _ => (),
            }
            let name = format!("a{round}");
            cluster.delete(&format!("{CONFIG_MAPS}/{name}")).await;
            cluster.ok(cluster.post(CONFIG_MAPS, &config_map(&name, &json!({}))).await);
            let found = async {
                loop {
                    if let Some(Ok(map)) = seen.next().await
                        && map.metadata.name.as_deref() == Some(name.as_str())
                    {
                        return;
                    }
                }
            };
            tokio::time::timeout(PATIENCE, found).await.expect("the watcher misses an object");
        }
    }
}

#[tokio::test]
async fn kubes_plain_watch_reads_typed_objects() {
    let cluster = Cluster::start().await;
    let api: Api<ConfigMap> = Api::default_namespaced(cluster.client.clone());
    cluster.ok(cluster.post(CONFIG_MAPS, &config_map("a", &json!({"x": "1"}))).await);
    let params = WatchParams::default().fields("metadata.name=a").timeout(1);
    let mut stream = api.watch(&params, "0").await.unwrap().boxed();
    let first = stream.try_next().await.unwrap();
    assert!(matches!(first, Some(WatchEvent::Added(map)) if map.data.as_ref().unwrap()["x"] == "1"));
}
