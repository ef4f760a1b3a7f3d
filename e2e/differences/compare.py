#!/usr/bin/env python3
"""Sends the same random API calls to the embedded cluster and to a real API server, and compares the answers.

    compare.py --sandbox KUBECONFIG --real KUBECONFIG [--seed N] [--steps N]

What must differ (uids, versions, times, addresses, generated names) is replaced before; whether a write changed the
resourceVersion is compared, its value is not. Each difference is printed once, with how often it was seen and the first call that
showed it. Exit code 1: there are some that known.txt does not list.
"""

import argparse
import base64
import copy
import http.client
import json
import os
import random
import re
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.parse

# A rollout on a real node: images are there, pods are ready within seconds, on a loaded machine within tens.
SETTLED_WITHIN_S = 60
ANSWER_WITHIN_S = 30

GENERATED = {
    "uid", "creationTimestamp", "deletionTimestamp", "time", "lastTransitionTime", "lastUpdateTime", "clusterIP", "clusterIPs",
    "continue", "selfLink",
}
HASH = re.compile(r"-[bcdf0-9]?[bcdfghjklmnpqrstvwxz2456789]{6,10}(-[bcdfghjklmnpqrstvwxz2456789]{5})?\b")


class Api:
    """One API server."""

    def __init__(self, kubeconfig):
        view = subprocess.run(
            ["kubectl", "config", "view", "--raw", "--flatten", "--minify", "-o", "json", "--kubeconfig", kubeconfig],
            capture_output=True, check=True,
        )
        config = json.loads(view.stdout)
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"] if config["users"] else {}
        self.url = urllib.parse.urlparse(cluster["server"])
        self.headers = {"Authorization": "Bearer " + user["token"]} if user.get("token") else {}
        self.context = None
        if self.url.scheme == "https":
            data = cluster.get("certificate-authority-data")
            self.context = ssl.create_default_context(cadata=base64.b64decode(data).decode()) if data else ssl.create_default_context()
            if user.get("client-certificate-data"):
                with tempfile.NamedTemporaryFile() as file:
                    for part in ["client-certificate-data", "client-key-data"]:
                        file.write(base64.b64decode(user[part]) + b"\n")
                    file.flush()
                    self.context.load_cert_chain(file.name)
        # What each object's resourceVersion was when it was last seen: a stale one is a precondition that fails.
        self.versions, self.uids = {}, {}

    def call(self, verb, path, body=None, kind="application/json"):
        """The status code and the answer."""
        if self.context:
            connection = http.client.HTTPSConnection(self.url.netloc, context=self.context, timeout=ANSWER_WITHIN_S)
        else:
            connection = http.client.HTTPConnection(self.url.netloc, timeout=ANSWER_WITHIN_S)
        headers = dict(self.headers, Accept="application/json")
        if body is not None:
            headers["Content-Type"] = kind
        connection.request(verb, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, {"text": text.decode(errors="replace")}


class Pair:
    """Both servers, asked alike."""

    def __init__(self, sandbox, real, namespace):
        self.apis = [Api(sandbox), Api(real)]
        self.namespace = namespace
        self.found = {}

    def ask(self, what, verb, path, body=None, kind="application/json"):
        """One call to both; `body` may be a function of the server, for what only it knows."""
        answers = []
        for api in self.apis:
            sent = body(api) if callable(body) else body
            code, answer = api.call(verb, path, sent, kind)
            answers.append((code, self.plain(api, answer)))
        before = sum(entry["count"] for entry in self.found.values())
        self.compare(what, answers, verb, path, body)
        if sum(entry["count"] for entry in self.found.values()) > before and verb != "GET":
            self.forget(path, body)
        return answers

    def forget(self, path, body):
        """An object that differs would differ in each later answer: it goes."""
        path = path.split("?")[0].removesuffix("/scale").removesuffix("/status")
        if path.rsplit("/", 1)[-1] in {plural for _, plural in KINDS.values()}:
            path += "/" + (body["metadata"]["name"] if isinstance(body, dict) else "")
        for api in self.apis:
            api.call("DELETE", path, {"propagationPolicy": "Background"})
            until = time.monotonic() + SETTLED_WITHIN_S
            while api.call("GET", path)[0] == 200 and time.monotonic() < until:
                time.sleep(0.05)

    def plain(self, api, answer):
        """The answer without what must differ."""
        return normal(api, copy.deepcopy(answer), ())

    def compare(self, what, answers, verb, path, body):
        if not what.startswith("settled"):
            answers = [(code, without_status(answer)) for code, answer in answers]
        for place, ours, theirs in differences(answers[0], answers[1]):
            key = f"{what}: {place}"
            entry = self.found.setdefault(key, {"count": 0, "sandbox": ours, "real": theirs, "verb": verb, "path": path})
            entry["count"] += 1
            if "body" not in entry and not callable(body):
                entry["body"] = body


def without_status(item):
    """What controllers write is compared when they are done, not at the moment of a call."""
    if not isinstance(item, dict):
        return item
    item = {key: value for key, value in item.items() if key != "status" or not isinstance(value, dict)}
    meta = item.get("metadata")
    if isinstance(meta, dict):
        # The revision is written by the Deployment's controller as well.
        note = {key: value for key, value in (meta.get("annotations") or {}).items() if key != "deployment.kubernetes.io/revision"}
        fields = [entry for entry in meta.get("managedFields", []) if "controller" not in entry.get("manager", "") and entry.get("subresource") != "status"]
        item["metadata"] = dict(meta, annotations=note, managedFields=fields)
    if isinstance(item.get("items"), list):
        item["items"] = [without_status(one) for one in item["items"]]
    return item


def identity(item):
    """The name under which an object's version is remembered."""
    meta = item.get("metadata") or {}
    return (item.get("kind"), meta.get("name"))


def normal(api, value, path):
    """A copy in which generated values are placeholders, and a version says only whether it changed."""
    if isinstance(value, list):
        items = [normal(api, item, path + ("[]",)) for item in value]
        if path and path[-1] in ("managedFields", "conditions", "causes", "endpoints", "ports"):
            items.sort(key=lambda item: json.dumps(item, sort_keys=True))
        return items
    if not isinstance(value, dict):
        return HASH.sub("-HASH", value) if isinstance(value, str) else value
    result = {}
    remember(api, value)
    for key, inner in value.items():
        if key == "resourceVersion":
            result[key] = "VERSION"
        elif key == "pod-template-hash":
            result[key] = "HASH"
        elif key in GENERATED and path[-1:] != ("data",) and not key.startswith("f:"):
            result[key] = key.upper() if inner else inner
        elif key == "fieldsV1":
            result[key] = inner
        else:
            result[key] = normal(api, inner, path + (key,))
    return result


def remember(api, item):
    meta = item.get("metadata")
    if isinstance(meta, dict) and meta.get("resourceVersion") and meta.get("name") and item.get("kind"):
        api.versions[identity(item)] = meta["resourceVersion"]
        api.uids[identity(item)] = meta.get("uid")


def differences(ours, theirs, place=""):
    """Where two values differ: (place, ours, theirs)."""
    if isinstance(ours, tuple):
        if ours[0] != theirs[0]:
            yield "code", [ours[0], message(ours[1])], [theirs[0], message(theirs[1])]
            return
        yield from differences(ours[1], theirs[1])
    elif isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(set(ours) | set(theirs)):
            if key not in ours:
                yield f"{place}.{key} is missing", None, theirs[key]
            elif key not in theirs:
                yield f"{place}.{key} is extra", ours[key], None
            else:
                yield from differences(ours[key], theirs[key], f"{place}.{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for one, other in zip(ours, theirs):
            yield from differences(one, other, place + "[]")
    elif ours != theirs:
        yield place, ours, theirs


def message(answer):
    return answer.get("message", "") if isinstance(answer, dict) else ""


LABELS = [{}, {"app": "a"}, {"app": "b"}, {"app": "a", "tier": "x"}]
MANAGERS = ["alice", "bob"]
KINDS = {
    "ConfigMap": ("api/v1", "configmaps"),
    "Secret": ("api/v1", "secrets"),
    "ServiceAccount": ("api/v1", "serviceaccounts"),
    "Service": ("api/v1", "services"),
    "Deployment": ("apis/apps/v1", "deployments"),
}


class Draw:
    """Random calls."""

    def __init__(self, seed, pair):
        self.random = random.Random(seed)
        self.pair = pair

    def path(self, kind, name=None, sub=None, **query):
        root, plural = KINDS[kind]
        path = f"/{root}/namespaces/{self.pair.namespace}/{plural}"
        for part in (name, sub):
            path += f"/{part}" if part else ""
        return path + ("?" + urllib.parse.urlencode(query) if query else "")

    def name(self):
        return self.random.choice(["one", "two", "three"])

    def object(self, kind, name):
        """A small object with random fields."""
        pick = self.random.choice
        root = KINDS[kind][0]
        item = {"apiVersion": root.split("/", 1)[1], "kind": kind, "metadata": {"name": name}}
        if pick([True, False]):
            item["metadata"]["labels"] = dict(pick(LABELS))
        if pick([True, False, False]):
            item["metadata"]["annotations"] = {"note": pick(["x", "y"])}
        if kind == "ConfigMap":
            item["data"] = {key: pick(["1", "2"]) for key in self.random.sample(["a", "b", "c"], pick([1, 2]))}
        elif kind == "Secret":
            item["stringData"] = {pick(["a", "b"]): pick(["1", "2"])}
        elif kind == "Service":
            item["spec"] = {"selector": {"app": pick(["a", "b"])}, "ports": [{"port": pick([80, 8080]), "targetPort": pick([8080, "http"])}]}
            if pick([True, False]):
                item["spec"]["ports"][0]["name"] = "http"
        elif kind == "Deployment":
            app = {"a": "a", "b": "b"}.get(name[0], "a")
            container = {
                "name": "c", "image": pick(["shop:1.0.0", "shop:1.1.0"]), "args": ["backend"],
                "ports": [{"name": "http", "containerPort": 8080}],
                "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 1},
            }
            if pick([True, False]):
                container["env"] = [{"name": "GREETING", "value": pick(["x", "y"])}]
            item["spec"] = {
                "selector": {"matchLabels": {"app": app}},
                "template": {"metadata": {"labels": {"app": app}}, "spec": {"containers": [container], "terminationGracePeriodSeconds": 1}},
            }
            if pick([True, False]):
                item["spec"]["replicas"] = pick([0, 1, 2])
        return item

    def mistake(self, item):
        """The same object, wrong in one way."""
        how = self.random.choice(["unknown field", "wrong type", "bad name", "bad label", "no kind"])
        if how == "unknown field":
            item.setdefault("spec" if "spec" in item else "metadata", {})["colour"] = "red"
        elif how == "wrong type":
            item["metadata"]["labels"] = {"app": 7}
        elif how == "bad name":
            item["metadata"]["name"] = "No_Name"
        elif how == "bad label":
            item["metadata"]["labels"] = {"app": "no label!"}
        else:
            del item["kind"]
        return how, item

    def patch(self, kind):
        """A body for a merge patch or a strategic one."""
        pick = self.random.choice
        body = pick([
            {"metadata": {"labels": pick(LABELS)}},
            {"metadata": {"labels": {"app": None}}},
            {"metadata": {"annotations": {"note": pick(["z", None])}}},
            {"metadata": {"name": "other"}},
        ])
        if kind == "ConfigMap":
            body = pick([body, {"data": {"a": pick(["9", None])}}])
        elif kind == "Service":
            body = pick([body, {"spec": {"selector": {"app": "b"}}}, {"spec": {"ports": [{"port": 80, "targetPort": 9090}]}}, {"spec": {"selector": None}}])
        elif kind == "Deployment":
            container = {"name": "c", "image": "shop:1.1.0"}
            body = pick([
                body, {"spec": {"replicas": pick([0, 1])}}, {"spec": {"replicas": -1}},
                {"spec": {"template": {"spec": {"containers": [container]}}}}, {"spec": {"selector": {"matchLabels": {"app": "z"}}}},
                {"spec": {"template": {"metadata": {"labels": {"app": "z"}}}}},
            ])
        return body

    def step(self):
        """One random call."""
        pick, ask = self.random.choice, self.pair.ask
        kind, name = pick(list(KINDS)), self.name()
        key = (kind, name)
        query = {"dryRun": "All"} if pick([True] + [False] * 7) else {}
        field = pick(["Strict", "Ignore", None])
        if field:
            query["fieldValidation"] = field
        choice = pick(["apply"] * 5 + ["create"] * 3 + ["mistake", "get", "list", "merge", "merge", "strategic", "strategic", "json", "json", "guard", "put", "put stale", "delete", "delete guarded", "scale", "status"])
        if choice == "apply":
            manager, force = pick(MANAGERS), pick(["true", "false", "false"])
            body = self.object(kind, name)
            if pick([True] + [False] * 5):
                _, body = self.mistake(body)
            ask(f"apply {kind}", "PATCH", self.path(kind, name, fieldManager=manager, force=force, **query), body, "application/apply-patch+yaml")
        elif choice == "create":
            ask(f"create {kind}", "POST", self.path(kind, fieldManager=pick(MANAGERS), **query), self.object(kind, name))
        elif choice == "mistake":
            how, body = self.mistake(self.object(kind, name))
            ask(f"create {kind} with {how}", "POST", self.path(kind, **query), body)
        elif choice == "get":
            ask(f"get {kind}", "GET", self.path(kind, name))
        elif choice == "list":
            selector = pick([{}, {"labelSelector": "app=a"}, {"labelSelector": "app in (a,b),tier!=x"}, {"labelSelector": "!app"}, {"fieldSelector": "metadata.name=one"}, {"labelSelector": "app=="}, {"limit": 1}])
            if kind != "Secret" and kind != "ConfigMap" and kind != "ServiceAccount":
                ask(f"list {kind}", "GET", self.path(kind, **selector))
        elif choice in ("merge", "strategic"):
            media = "application/merge-patch+json" if choice == "merge" else "application/strategic-merge-patch+json"
            ask(f"{choice} patch {kind}", "PATCH", self.path(kind, name, fieldManager=pick(MANAGERS), **query), self.patch(kind), media)
        elif choice == "json":
            body = [pick([
                {"op": "add", "path": "/metadata/labels", "value": {"app": "a"}}, {"op": "remove", "path": "/metadata/labels/app"},
                {"op": "replace", "path": "/metadata/annotations/note", "value": "w"}, {"op": "test", "path": "/metadata/name", "value": "other"},
                {"op": "test", "path": "/metadata/name", "value": name}, {"op": "replace", "path": "/spec/selector/app", "value": "b"},
                {"op": "copy", "from": "/metadata/name", "path": "/metadata/labels/app"}, {"op": "nonsense", "path": "/"},
            ])]
            ask(f"json patch {kind}", "PATCH", self.path(kind, name, fieldManager=pick(MANAGERS), **query), body, "application/json-patch+json")
        elif choice == "guard":
            stale = pick([True, False])
            body = lambda api: [
                {"op": "test", "path": "/metadata/resourceVersion", "value": "1" if stale else api.versions.get(key, "1")},
                {"op": "add", "path": "/metadata/annotations", "value": {"note": "guarded"}},
            ]
            ask(f"guarded json patch {kind}, stale {stale}", "PATCH", self.path(kind, name, fieldManager="carol"), body, "application/json-patch+json")
        elif choice in ("put", "put stale"):
            item = self.object(kind, name)

            def body(api):
                sent = copy.deepcopy(item)
                if choice == "put stale":
                    sent["metadata"]["resourceVersion"] = "1"
                return sent

            ask(f"{choice} {kind}", "PUT", self.path(kind, name, fieldManager=pick(MANAGERS), **query), body)
        elif choice == "delete":
            ask(f"delete {kind}", "DELETE", self.path(kind, name), {"propagationPolicy": pick(["Background", "Foreground"])} if kind == "Deployment" else {})
        elif choice == "delete guarded":
            guard = pick([{"uid": "00000000-0000-0000-0000-000000000000"}, {"resourceVersion": "1"}])
            ask(f"delete {kind} with a wrong {next(iter(guard))}", "DELETE", self.path(kind, name), {"preconditions": guard})
        elif choice == "scale" :
            ask("scale", "PATCH", self.path("Deployment", name, "scale", fieldManager="carol"), {"spec": {"replicas": pick([0, 1, 2])}}, "application/merge-patch+json")
        else:
            ask("status by merge patch", "PATCH", self.path("Deployment", name, "status", fieldManager="carol"), {"status": {"replicas": 9}, "spec": {"replicas": 3}}, "application/merge-patch+json")

    def settle(self):
        """Waits until both clusters' Deployments are done, and compares what became of them."""
        for api in self.pair.apis:
            until = time.monotonic() + SETTLED_WITHIN_S
            while time.monotonic() < until and not is_settled(api, self.path("Deployment"), self.pods_path()):
                time.sleep(0.2)
        self.pair.ask("settled: Deployments", "GET", self.path("Deployment"))
        for what, path in (
            ("pods", self.pods_path()),
            ("ReplicaSets", f"/apis/apps/v1/namespaces/{self.pair.namespace}/replicasets"),
            ("EndpointSlices", f"/apis/discovery.k8s.io/v1/namespaces/{self.pair.namespace}/endpointslices"),
            ("Services", self.path("Service")),
        ):
            seen = [sorted(summary(what, item) for item in api.call("GET", path)[1].get("items", [])) for api in self.pair.apis]
            self.pair.compare(f"settled: {what}", [(200, {"items": part}) for part in seen], "GET", path, None)

    def pods_path(self):
        return f"/api/v1/namespaces/{self.pair.namespace}/pods"


def is_settled(api, deployments, pods):
    for item in api.call("GET", deployments)[1].get("items", []):
        status, wanted = item.get("status", {}), item["spec"].get("replicas", 1)
        if item["metadata"].get("deletionTimestamp") or status.get("observedGeneration") != item["metadata"]["generation"]:
            return False
        if any(status.get(key, 0) != wanted for key in ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")):
            return False
    return not any(pod["metadata"].get("deletionTimestamp") for pod in api.call("GET", pods)[1].get("items", []))


def summary(what, item):
    """What of a controller's object is everybody's."""
    meta, spec, status = item["metadata"], item.get("spec", {}), item.get("status", {})
    labels = {key: HASH.sub("-HASH", value) for key, value in meta.get("labels", {}).items() if key != "pod-template-hash"}
    if what == "pods":
        conditions = sorted((c["type"], c["status"], c.get("reason", "")) for c in status.get("conditions", []))
        containers = [(c["name"], c["ready"], c["restartCount"], sorted(c["state"])) for c in status.get("containerStatuses", [])]
        facts = [spec["containers"][0]["image"], status.get("phase"), conditions, containers]
    elif what == "ReplicaSets":
        facts = [spec["replicas"], status.get("readyReplicas", 0), spec["template"]["spec"]["containers"][0]["image"], meta.get("annotations")]
    elif what == "EndpointSlices":
        ready = sorted((e["conditions"].get("ready"), e["conditions"].get("serving"), e["conditions"].get("terminating"), (e.get("targetRef") or {}).get("kind")) for e in item.get("endpoints") or [])
        facts = [item.get("addressType"), ready, item.get("ports"), [o["kind"] for o in meta.get("ownerReferences", [])]]
    else:
        facts = [spec.get("selector"), spec.get("ports"), spec.get("type")]
    return json.dumps([labels, facts], sort_keys=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sandbox", required=True)
    parser.add_argument("--real", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=500)
    args = parser.parse_args()
    pair = Pair(args.sandbox, args.real, f"differences-{args.seed}")
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": pair.namespace}}
    for api in pair.apis:
        api.call("POST", "/api/v1/namespaces", namespace)
    until = time.monotonic() + SETTLED_WITHIN_S
    wait = f"/api/v1/namespaces/{pair.namespace}/serviceaccounts/default"
    while any(api.call("GET", wait)[0] != 200 for api in pair.apis) and time.monotonic() < until:
        time.sleep(0.1)
    draw = Draw(args.seed, pair)
    for number in range(1, args.steps + 1):
        draw.step()
        if number % 50 == 0:
            draw.settle()
    for api in pair.apis:
        api.call("DELETE", f"/api/v1/namespaces/{pair.namespace}", {})
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "known.txt")) as file:
        known = [re.compile(line.split(" # ")[0].strip()) for line in file if line.strip() and not line.startswith("#")]
    new = {key: entry for key, entry in pair.found.items() if not any(pattern.fullmatch(key) for pattern in known)}
    for key, entry in sorted(new.items()):
        print(f"{key}  ({entry['count']} times)")
        for side in ("sandbox", "real"):
            print(f"    {side}: {json.dumps(entry[side])[:400]}")
        print(f"    {entry['verb']} {entry['path']} {json.dumps(entry.get('body'))[:300]}")
    print(f"seed {args.seed}: {args.steps} calls, {len(new)} differences, {len(pair.found) - len(new)} known ones")
    return 1 if new else 0


if __name__ == "__main__":
    sys.exit(main())
