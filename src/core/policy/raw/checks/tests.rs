//! Every field of a check, and everything that is wrong with one.

use super::super::parse;
use super::*;

fn one(body: &str) -> Result<Check, Vec<String>> {
    let text = format!("apiVersion: turquoise.dev/v1alpha1\nkind: BlueGreen\nspec:\n  checks:\n  - {body}\n");
    let lines = |problem: &crate::core::policy::PolicyProblem| format!("{}: {}", problem.line, problem.message);
    parse(&text).map(|mut policy| policy.checks.remove(0)).map_err(|problems| problems.iter().map(lines).collect())
}

#[test]
fn every_field_of_a_check_is_read() {
    let check = one(
        "name: smoke\n    http:\n      service: s-preview\n      port: 8080\n      path: /x?y=1\n      method: PUT\n      headers:\n        X-Caller: turquoise\n        Authorization: {secret: api, prefix: 'Bearer '}\n      body: '{}'\n      status: [200, 2xx, '304']\n      json:\n      - {pointer: /a/0, equals: up}\n      - {pointer: '', equals: {a: [1, null]}}\n      timeout: 1s\n      times: 2\n      interval: 5ms",
    )
    .expect("a valid check");
    let Asks::Http(http) = &check.asks else { panic!("{check:?}") };
    assert_eq!(http.target, Target::Service { service: "s-preview".into(), port: 8080, path: "/x?y=1".into() });
    assert_eq!(http.status, [Status::One(200), Status::Class(2), Status::One(304)]);
    assert_eq!(http.headers.len(), 2);
    assert_eq!(http.json[1].equals, serde_json::json!({"a": [1, null]}));
    assert_eq!((http.times, http.body.as_deref()), (2, Some("{}")));
    assert_eq!(check.secrets().collect::<Vec<_>>(), ["api"]);

    let check = one("webhook: {url: 'https://board.example.org/x', secret: board, timeout: 2h}").expect("valid");
    assert_eq!(check.name, "check-1");
    assert_eq!(check.urls().map(ToString::to_string).collect::<Vec<_>>(), ["board.example.org:443"]);
    assert_eq!(check.secrets().collect::<Vec<_>>(), ["board"]);

    let check = one("http: {url: 'http://preview.example/', liveUrl: 'http://example/'}").expect("valid");
    assert_eq!(check.urls().count(), 2);
    assert_eq!(check.service(), None);
}

#[test]
fn what_is_wrong_with_a_check_is_said_with_its_line() {
    let http = |fields: &str| format!("http:\n      service: s\n      {fields}");
    for (body, line, words) in [
        ("name: x".to_owned(), 5, "either `http` or `webhook`"),
        ("http: {service: s}\n    webhook: {url: 'http://h/'}".into(), 5, "either `http` or `webhook`"),
        ("http: {path: /}".into(), 5, "either a `service` or a `url`"),
        ("http: {service: ../x}".into(), 5, "no Service's name"),
        (http("port: 0"), 7, "1 to 65535"),
        (http("port: 70000"), 7, ""),
        (http("path: smoke"), 7, "begin with `/`"),
        (http("path: /../../secrets"), 7, "`..`"),
        (http("path: \"/a\\r\\nX: y\""), 7, "ASCII"),
        (http("liveUrl: http://h/"), 7, "goes with `url`"),
        (http("method: BREW"), 7, ""),
        (http("body: x"), 7, "needs `method: POST`"),
        (http("status: 99"), 7, "100 to 599"),
        (http("status: [200, 9xx]"), 7, "100 to 599"),
        (http("json: [{pointer: a, equals: 1}]"), 7, "JSON pointer"),
        (http("json: [{pointer: /~2, equals: 1}]"), 7, "JSON pointer"),
        (http("times: 0"), 7, "1 to 1000"),
        (http("timeout: 0"), 5, "longer than 0"),
        (http("interval: often"), 7, "no duration"),
        (http("retries: 3"), 7, "unknown field `retries`"),
        (http("headers:\n        Host: x"), 8, "written by turquoise itself"),
        (http("headers:\n        Impersonate-User: admin"), 8, "for API servers"),
        (http("headers:\n        'X Y': z"), 8, "no header's name"),
        (http("headers:\n        X: \"a\\r\\nY: b\""), 8, "visible ASCII"),
        (http("headers:\n        Authorization: Bearer hunter2"), 8, "must not stand in git"),
        (http("headers:\n        A: {secret: '../x'}"), 8, "as the operator granted it"),
        (http("headers:\n        X-A: b\n        x-a: c"), 9, "two headers"),
        ("http:\n      url: http://u:p@h/".into(), 6, "user or password"),
        ("http:\n      url: http://h/\n      port: 80".into(), 6, "in the `url` itself"),
        ("webhook:\n      url: gopher://h/".into(), 6, "must begin"),
        ("webhook:\n      url: http://h/\n      timeout: 8d".into(), 7, "seven days"),
        ("webhook:\n      url: http://h/\n      secret: 'a b'".into(), 7, "as the operator granted it"),
    ] {
        let problems = one(&body).expect_err(&body);
        let found = problems.iter().any(|problem| problem.starts_with(&format!("{line}: ")) && problem.contains(words));
        assert!(found, "{body}: {problems:?}");
        assert!(!problems.iter().any(|problem| problem.contains("hunter2") || problem.contains("u:p")), "{problems:?}");
    }
}
