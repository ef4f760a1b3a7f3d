#!/usr/bin/env python3
"""Renders random kustomizations with this crate and with the original, and shows where the two differ.

    python3 differential.py --ours target/release/examples/render --seeds 0:500 [--many] [--theirs 'kubectl kustomize'] [--keep DIR]

Not part of `cargo test`: it needs the original. A difference found here becomes a case of tests/it.
"""
import argparse
import concurrent.futures
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

NAMES = ["a", "b", "web", "db", "app"]
LABELS = ["app", "tier", "app.kubernetes.io/name"]
WORDS = ["x", "yes", "1", "1.0", "a b", "on", "0x1", "2020-01-01", "", "v1.2.3", "multi\nline\n", "tail ", "ünï", "~", "k=v", "c: d", "#no"]
IMAGES = ["nginx", "nginx:1.7", "docker.io/nginx", "reg:5000/x/y:1", "busybox@sha256:abc", "app:v1@sha256:def"]


class Random(random.Random):
    def some(self, items, p=0.5):
        return [item for item in items if self.random() < p]

    def maybe(self, p=0.5):
        return self.random() < p

    def word(self):
        return self.choice(WORDS)


def labels(r):
    return {k: r.choice(["x", "y", "web"]) for k in r.some(LABELS, 0.4)}


def meta(r, name):
    out = {"name": name}
    if r.maybe(0.25):
        out["namespace"] = r.choice(["default", "n1", "n2"])
    if r.maybe(0.4):
        out["labels"] = labels(r)
    if r.maybe(0.3):
        out["annotations"] = {k: r.word() for k in r.some(["note", "a/b", "config"], 0.5)}
    return out


def container(r, name):
    out = {"name": name, "image": r.choice(IMAGES)}
    if r.maybe(0.4):
        out["env"] = [r.choice([
            {"name": n, "value": r.word()},
            {"name": n, "valueFrom": {"configMapKeyRef": {"name": r.choice(NAMES), "key": "k"}}},
            {"name": n, "valueFrom": {"secretKeyRef": {"name": r.choice(NAMES), "key": "k"}}},
            {"name": n, "value": "$(VAR1) and $(NOPE)"}])
            for n in r.some(["E1", "E2", "E3"], 0.6)]
    if r.maybe(0.3):
        out["envFrom"] = [r.choice([{"configMapRef": {"name": r.choice(NAMES)}}, {"secretRef": {"name": r.choice(NAMES)}}])]
    if r.maybe(0.3):
        out["ports"] = ports(r, "containerPort")
    if r.maybe(0.3):
        out["args"] = [r.word() for _ in range(r.randint(0, 3))]
    if r.maybe(0.2):
        out["volumeMounts"] = [{"name": v, "mountPath": "/" + v} for v in r.some(["v1", "v2"], 0.7)]
    if r.maybe(0.2):
        out["resources"] = {"limits": {"cpu": r.choice(["1", 1, "500m"]), "memory": "1Gi"}}
    return out


def ports(r, key):
    out = []
    for n in r.sample([80, 443, 8080], r.randint(1, 2)):
        port = {key: n}
        if r.maybe(0.5):
            port["protocol"] = r.choice(["TCP", "UDP"])
        if r.maybe(0.5):
            port["name"] = "p%d" % n
        if key == "port" and r.maybe(0.4):
            port["targetPort"] = r.choice([8080, "http"])
        out.append(port)
    return out


def volume(r, name):
    return {"name": name, **r.choice([
        {"configMap": {"name": r.choice(NAMES)}}, {"secret": {"secretName": r.choice(NAMES)}}, {"emptyDir": {}},
        {"persistentVolumeClaim": {"claimName": r.choice(NAMES)}},
        {"projected": {"sources": [{"configMap": {"name": r.choice(NAMES)}}, {"secret": {"name": r.choice(NAMES)}}]}}])}


def pod(r):
    out = {"containers": [container(r, n) for n in (r.some(["main", "side", "c3"], 0.6) or ["main"])]}
    if r.maybe(0.25):
        out["initContainers"] = [container(r, "init")]
    if r.maybe(0.4):
        out["volumes"] = [volume(r, n) for n in r.some(["v1", "v2", "v3"], 0.6)]
    if r.maybe(0.3):
        out["serviceAccountName"] = r.choice(NAMES)
    if r.maybe(0.2):
        out["imagePullSecrets"] = [{"name": r.choice(NAMES)}]
    if r.maybe(0.15):
        out["tolerations"] = [{"key": "k", "operator": "Exists"}]
    if r.maybe(0.15):
        out["priorityClassName"] = r.choice(NAMES)
    if r.maybe(0.15):
        out["topologySpreadConstraints"] = [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
                                             "labelSelector": {"matchLabels": {"app": "x"}}}]
    if r.maybe(0.15):
        out["affinity"] = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
            {"labelSelector": {"matchLabels": {"app": "x"}}, "topologyKey": "zone"}]}}
    return out


def template(r):
    out = {"spec": pod(r)}
    if r.maybe(0.7):
        out["metadata"] = {"labels": {"app": "x"}}
    return out


def resource(r, kind, name):
    m = meta(r, name)
    if kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"):
        out = {"apiVersion": "apps/v1", "kind": kind, "metadata": m, "spec": {"template": template(r)}}
        if r.maybe(0.7):
            out["spec"]["selector"] = {"matchLabels": {"app": "x"}}
        if r.maybe(0.4):
            out["spec"]["replicas"] = r.randint(0, 3)
        if kind == "StatefulSet":
            out["spec"]["serviceName"] = r.choice(NAMES)
            if r.maybe(0.4):
                out["spec"]["volumeClaimTemplates"] = [{"metadata": {"name": "data"}, "spec": {"storageClassName": r.choice(NAMES)}}]
        if kind == "Deployment" and r.maybe(0.2):
            out["spec"]["strategy"] = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}
        return out
    if kind == "Pod":
        return {"apiVersion": "v1", "kind": kind, "metadata": m, "spec": pod(r)}
    if kind == "Job":
        return {"apiVersion": "batch/v1", "kind": kind, "metadata": m, "spec": {"template": template(r)}}
    if kind == "CronJob":
        return {"apiVersion": r.choice(["batch/v1", "batch/v1beta1"]), "kind": kind, "metadata": m,
                "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": template(r)}}}}
    if kind == "Service":
        spec = {"ports": ports(r, "port")}
        if r.maybe(0.7):
            spec["selector"] = {"app": "x"}
        return {"apiVersion": "v1", "kind": kind, "metadata": m, "spec": spec}
    if kind == "ConfigMap":
        return {"apiVersion": "v1", "kind": kind, "metadata": m, "data": {k: r.word() for k in r.some(["k", "l", "m.properties"], 0.7)}}
    if kind == "Secret":
        return {"apiVersion": "v1", "kind": kind, "metadata": m, "type": "Opaque", "data": {"k": "YQ=="}}
    if kind == "ServiceAccount":
        out = {"apiVersion": "v1", "kind": kind, "metadata": m}
        if r.maybe(0.4):
            out["imagePullSecrets"] = [{"name": r.choice(NAMES)}]
        if r.maybe(0.3):
            out["secrets"] = [{"name": r.choice(NAMES)}]
        return out
    if kind == "Namespace":
        m.pop("namespace", None)
        return {"apiVersion": "v1", "kind": kind, "metadata": m}
    if kind in ("RoleBinding", "ClusterRoleBinding"):
        role = "Role" if kind == "RoleBinding" and r.maybe() else "ClusterRole"
        subjects = []
        for _ in range(r.randint(0, 2)):
            s = {"kind": r.choice(["ServiceAccount", "User"]), "name": r.choice(NAMES + ["default"])}
            if r.maybe(0.5):
                s["namespace"] = r.choice(["default", "n1", "n2"])
            subjects.append(s)
        return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": m,
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": r.choice(NAMES)}, "subjects": subjects}
    if kind in ("Role", "ClusterRole"):
        return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": m,
                "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"], "resourceNames": [r.choice(NAMES)]}]}
    if kind == "Ingress":
        return {"apiVersion": "networking.k8s.io/v1", "kind": kind, "metadata": m,
                "spec": {"tls": [{"hosts": ["h"], "secretName": r.choice(NAMES)}],
                         "rules": [{"host": "h", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {
                             "service": {"name": r.choice(NAMES), "port": {"number": 80}}}}]}}]}}
    if kind == "HorizontalPodAutoscaler":
        return {"apiVersion": r.choice(["autoscaling/v1", "autoscaling/v2"]), "kind": kind, "metadata": m,
                "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": r.choice(["Deployment", "StatefulSet", "Rollout"]), "name": r.choice(NAMES)},
                         "maxReplicas": 3}}
    if kind == "PodDisruptionBudget":
        return {"apiVersion": r.choice(["policy/v1", "policy/v1beta1"]), "kind": kind, "metadata": m,
                "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "x"}}}}
    if kind == "NetworkPolicy":
        return {"apiVersion": "networking.k8s.io/v1", "kind": kind, "metadata": m,
                "spec": {"podSelector": {"matchLabels": {"app": "x"}}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "x"}}}]}]}}
    if kind == "CustomResourceDefinition":
        m.pop("namespace", None)
        return {"apiVersion": "apiextensions.k8s.io/v1", "kind": kind, "metadata": m,
                "spec": {"group": "example.com", "names": {"kind": "Thing", "plural": "things"}, "scope": "Namespaced", "versions": []}}
    if kind == "PersistentVolumeClaim":
        return {"apiVersion": "v1", "kind": kind, "metadata": m, "spec": {"storageClassName": r.choice(NAMES), "volumeName": r.choice(NAMES)}}
    if kind == "ValidatingWebhookConfiguration":
        m.pop("namespace", None)
        return {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": m,
                "webhooks": [{"name": n, "clientConfig": {"service": {"name": r.choice(NAMES), "namespace": r.choice(["n1", "default"])}}} for n in r.some(["w1", "w2"], 0.7)]}
    if kind == "Rollout":
        return {"apiVersion": "argoproj.io/v1alpha1", "kind": kind, "metadata": m, "spec": {"replicas": 1, "template": template(r)}}
    return {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": m,
            "spec": {"list": [{"name": "a", "v": 1}, {"name": "b", "v": r.word()}], "ref": {"name": r.choice(NAMES)}, "text": r.word(), "n": r.choice([1, 1.5, True, None])}}


KINDS = ["Deployment"] * 6 + ["Service"] * 4 + ["ConfigMap"] * 3 + ["Secret", "StatefulSet", "DaemonSet", "ReplicaSet", "Pod", "Job", "CronJob",
         "ServiceAccount", "ServiceAccount", "Namespace", "RoleBinding", "ClusterRoleBinding", "Role", "ClusterRole", "Ingress", "Ingress",
         "HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy", "CustomResourceDefinition", "PersistentVolumeClaim",
         "ValidatingWebhookConfiguration", "Rollout", "Thing"]
API = {"Deployment": "apps/v1", "StatefulSet": "apps/v1", "DaemonSet": "apps/v1", "Service": "v1", "ConfigMap": "v1", "Thing": "example.com/v1", "Pod": "v1"}


def smp(r, target):
    """A strategic merge patch for a resource that is likely to be there."""
    kind = target["kind"]
    out = {"apiVersion": target["apiVersion"], "kind": kind, "metadata": {"name": target["metadata"]["name"]}}
    if "namespace" in target["metadata"] and r.maybe(0.9):
        out["metadata"]["namespace"] = target["metadata"]["namespace"]
    choice = r.random()
    if choice < 0.08:
        out["$patch"] = "delete"
        return out
    if r.maybe(0.3):
        out["metadata"]["labels"] = r.choice([{"patched": "yes"}, {"app": None}, None])
    if r.maybe(0.2):
        out["metadata"]["annotations"] = r.choice([{"note": "p"}, None, {"note": None}])
    fresh = resource(r, kind, "z")
    for key in fresh:
        if key in ("apiVersion", "kind", "metadata"):
            continue
        value = fresh[key]
        if isinstance(value, dict) and r.maybe(0.8):
            value = {k: directive(r, v) for k, v in value.items() if r.maybe(0.7)}
        out[key] = directive(r, value)
    return out


def directive(r, value, depth=0):
    if r.maybe(0.04):
        return None
    if isinstance(value, dict):
        value = {k: directive(r, v, depth + 1) for k, v in value.items() if k == "name" or r.maybe(0.85)}
        if r.maybe(0.05):
            value["$patch"] = r.choice(["replace", "delete", "merge"])
        return value
    if isinstance(value, list):
        value = [directive(r, v, depth + 1) for v in value]
        value = [v for v in value if v is not None]
        if r.maybe(0.05) and all(isinstance(v, dict) for v in value):
            value.append({"$patch": r.choice(["replace", "delete"])})
        return value
    return value


def json_patch(r):
    ops = []
    for _ in range(r.randint(1, 3)):
        path = r.choice(["/metadata/labels/x", "/metadata/annotations/a~1b", "/spec/replicas", "/spec/template/spec/containers/0/image",
                         "/spec/template/spec/containers/-", "/spec/ports/0/port", "/data/k", "/spec/list/0", "/spec/list/-1", "/metadata/name", "/spec", "/spec/text",
                         "/metadata/labels", "/metadata/annotations", "/metadata/namespace"])
        op = r.choice(["add", "add", "replace", "replace", "remove", "test", "move", "copy"])
        o = {"op": op, "path": path}
        if op in ("add", "replace", "test"):
            o["value"] = r.choice([5, "text", {"a": "b"}, ["l"], True, None, "yes", 1.0, {"name": "new", "image": "nginx"}])
        if op in ("move", "copy"):
            o["from"] = r.choice(["/spec/replicas", "/metadata/name", "/metadata/labels", "/data/k"])
        ops.append(o)
    return ops


def selector(r, known, regex=True):
    out = {}
    if r.maybe(0.7):
        out["kind"] = r.choice([k["kind"] for k in known] + (["Deployment|StatefulSet", ".*", "Deploy", "Dep.*"] if regex else []))
    if r.maybe(0.3):
        out["name"] = r.choice(NAMES + (["a|b", "w.*", ".*", "we"] if regex else []))
    if r.maybe(0.15):
        out["group"] = r.choice(["apps", "", "batch"])
    if r.maybe(0.15):
        out["version"] = r.choice(["v1", "v1.*"])
    if r.maybe(0.15):
        out["namespace"] = r.choice(["n1", "default", "n.*"] if regex else ["n1", "default"])
    if r.maybe(0.2):
        out["labelSelector"] = r.choice(["app=x", "app!=x", "tier in (x,y)", "!tier", "app", "tier notin (x)"])
    if r.maybe(0.1):
        out["annotationSelector"] = r.choice(["note", "note=x", "!note"])
    return out


def yaml_dump(value):
    """JSON is YAML: no style of a library comes between."""
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def generator(r, secret, existing):
    g = {"name": r.choice(NAMES)}
    if r.maybe(0.2):
        g["namespace"] = r.choice(["n1", "default"])
    if r.maybe(0.35 if existing else 0.05):
        g["behavior"] = r.choice(["merge", "replace"])
    elif r.maybe(0.1):
        g["behavior"] = "create"
    if r.maybe(0.7):
        g["literals"] = [r.choice(["A=1", "B='q'", 'C="d q"', "D=x=y", "E=", "F=a b", "G=multi"]) for _ in range(r.randint(1, 2))]
    if r.maybe(0.3):
        g["files"] = r.sample(["data.txt", "k=data.txt", "bin.dat"], r.randint(1, 2))
    if r.maybe(0.2):
        g["envs"] = ["e.env"]
    if secret and r.maybe(0.3):
        g["type"] = r.choice(["Opaque", "kubernetes.io/tls"])
    if r.maybe(0.25):
        g["options"] = {k: v for k, v in [("labels", {"gen": "yes"}), ("annotations", {"note": "g"}), ("disableNameSuffixHash", r.maybe()), ("immutable", True)] if r.maybe(0.5)}
    return g


def field_path(r):
    return r.choice(["metadata.name", "metadata.namespace", "metadata.labels.app", "metadata.annotations.note", "spec.replicas",
                     "spec.template.spec.containers.0.image", "spec.template.spec.containers.[name=main].image",
                     "spec.template.spec.containers.*.image", "spec.template.spec.containers.[name=main].env.[name=E1].value",
                     "spec.ports.0.port", "data.k", "metadata.labels.[app.kubernetes.io/name]", "spec.selector.app", "data.[m.properties]", "spec.list.[name=a].v",
                     "spec.template.spec.containers.[name=new].image", "metadata.annotations.a/b", "spec.list.2", "spec.text", "spec.template.metadata.labels"])


def replacement(r, known):
    t = r.choice(known)
    source = {"kind": t["kind"], "name": t["metadata"]["name"]}
    if r.maybe(0.7):
        source["fieldPath"] = field_path(r)
    if r.maybe(0.25):
        source["options"] = {"delimiter": r.choice([":", ".", "/"]), "index": r.choice([0, 0, 1, 2])}
    target = {"select": selector(r, known, regex=False) or {"kind": "Deployment"}}
    if r.maybe(0.3):
        target["reject"] = [selector(r, known, regex=False)]
    if r.maybe(0.85):
        target["fieldPaths"] = [field_path(r) for _ in range(r.randint(1, 2))]
    if r.maybe(0.5):
        o = {}
        if r.maybe(0.6):
            o["create"] = True
        if r.maybe(0.4):
            o["delimiter"] = r.choice([":", ".", "/", "-"])
            o["index"] = r.choice([0, 1, 2, -1, 5])
        target["options"] = o
    return {"source": source, "targets": [target]}


def var(r, known):
    t = r.choice(known)
    v = {"name": r.choice(["VAR1", "VAR2"]), "objref": {"apiVersion": t["apiVersion"], "kind": t["kind"], "name": t["metadata"]["name"]}}
    if r.maybe(0.4):
        v["fieldref"] = {"fieldpath": r.choice(["metadata.name", "metadata.namespace", "spec.replicas", "spec.template.spec.containers[0].image"])}
    return v


FEATURES = ["namespace", "namePrefix", "nameSuffix", "labels", "commonLabels", "commonAnnotations", "patches", "patchesStrategicMerge",
            "patchesJson6902", "images", "replicas", "replacements", "vars", "configMapGenerator", "secretGenerator", "generatorOptions",
            "transformers", "configurations", "sortOptions", "buildMetadata"]


def kustomization(r, known, top, weights):
    k = {}
    on = lambda f: r.maybe(weights.get(f, 0.0))
    if on("namespace"):
        k["namespace"] = r.choice(["n1", "n3", "default"])
    if on("namePrefix"):
        k["namePrefix"] = r.choice(["p-", "q-"])
    if on("nameSuffix"):
        k["nameSuffix"] = r.choice(["-s", "-blue"])
    if on("labels"):
        k["labels"] = []
        for _ in range(r.randint(1, 2)):
            e = {"pairs": {r.choice(LABELS + ["new"]): r.choice(["l1", "l2"])}}
            e.update({f: r.maybe() for f in r.some(["includeSelectors", "includeTemplates"], 0.5)})
            if r.maybe(0.2):
                e["fields"] = [{"path": "spec/extra", "create": r.maybe(), "kind": r.choice(["Thing", "Deployment"])}]
            k["labels"].append(e)
    if on("commonLabels"):
        k["commonLabels"] = {r.choice(LABELS): "c1"}
    if on("commonAnnotations"):
        k["commonAnnotations"] = {r.choice(["note", "c/d"]): r.choice(["ca", "true", "a: b"])}
    if known:
        if on("patches"):
            k["patches"] = []
            for _ in range(r.randint(1, 2)):
                p = {}
                if r.maybe(0.5):
                    t = r.choice(known)
                    p["patch"] = yaml_dump(smp(r, t))
                    if r.maybe(0.3):
                        p["target"] = selector(r, known)
                    if r.maybe(0.1):
                        p["options"] = {"allowNameChange": True, "allowKindChange": r.maybe()}
                else:
                    p["patch"] = yaml_dump(json_patch(r))
                    p["target"] = selector(r, known) or {"kind": "Deployment"}
                k["patches"].append(p)
        if on("patchesStrategicMerge"):
            k["patchesStrategicMerge"] = [yaml_dump(smp(r, r.choice(known))) for _ in range(r.randint(1, 2))]
        if on("patchesJson6902"):
            t = r.choice(known)
            k["patchesJson6902"] = [{"target": {"version": "v1", "kind": t["kind"], "name": t["metadata"]["name"]}, "patch": yaml_dump(json_patch(r))}]
        if on("replacements"):
            k["replacements"] = [replacement(r, known) for _ in range(r.randint(1, 2))]
        if on("vars"):
            k["vars"] = [var(r, known)]
    if on("images"):
        k["images"] = []
        for _ in range(r.randint(1, 2)):
            e = {"name": r.choice(["nginx", "docker.io/nginx", "busybox", "app", "reg:5000/x/y", ".*"])}
            e.update({f: v for f, v in [("newName", r.choice(["new/n", "nginx"])), ("newTag", "v9"), ("digest", "sha256:fff"), ("tagSuffix", "-z")] if r.maybe(0.4)})
            k["images"].append(e)
    if on("replicas"):
        k["replicas"] = [{"name": r.choice(NAMES), "count": r.randint(0, 9)}]
    if on("configMapGenerator"):
        k["configMapGenerator"] = [generator(r, False, bool(known)) for _ in range(r.randint(1, 2))]
    if on("secretGenerator"):
        k["secretGenerator"] = [generator(r, True, bool(known))]
    if on("generatorOptions"):
        k["generatorOptions"] = {f: v for f, v in [("labels", {"go": "x"}), ("annotations", {"go": "y"}), ("disableNameSuffixHash", r.maybe()), ("immutable", r.maybe())] if r.maybe(0.5)}
    if on("transformers"):
        k["transformers"] = [yaml_dump(t) for t in r.sample(TRANSFORMERS, r.randint(1, 2))]
    if on("configurations"):
        k["configurations"] = ["config.yaml"]
    if on("sortOptions"):
        k["sortOptions"] = r.choice([{"order": "fifo"}, {"order": "legacy"}, {"order": "legacy", "legacySortOptions": {"orderFirst": ["Service", "Deployment"], "orderLast": ["ConfigMap"]}}])
    if on("buildMetadata"):
        k["buildMetadata"] = r.some(["managedByLabel", "originAnnotations", "transformerAnnotations"], 0.6)
    return k


FIELDS = [{"path": "metadata/name"}]
TRANSFORMERS = [
    {"apiVersion": "builtin", "kind": "PrefixTransformer", "metadata": {"name": "t1"}, "prefix": "tp-", "fieldSpecs": FIELDS},
    {"apiVersion": "builtin", "kind": "SuffixTransformer", "metadata": {"name": "t2"}, "suffix": "-ts", "fieldSpecs": FIELDS},
    {"apiVersion": "builtin", "kind": "PrefixSuffixTransformer", "metadata": {"name": "t3"}, "prefix": "ps-", "suffix": "-ps", "fieldSpecs": FIELDS},
    {"apiVersion": "builtin", "kind": "NamespaceTransformer", "metadata": {"name": "t4", "namespace": "tn"}, "unsetOnly": True, "fieldSpecs": [{"path": "metadata/namespace", "create": True}]},
    {"apiVersion": "builtin", "kind": "NamespaceTransformer", "metadata": {"name": "t5", "namespace": "tn"}, "setRoleBindingSubjects": "allServiceAccounts", "fieldSpecs": [{"path": "metadata/name", "kind": "Namespace", "create": True}]},
    {"apiVersion": "builtin", "kind": "LabelTransformer", "metadata": {"name": "t6"}, "labels": {"tl": "x"}, "fieldSpecs": [{"path": "metadata/labels", "create": True}, {"path": "spec/template/metadata/labels", "kind": "Deployment"}]},
    {"apiVersion": "builtin", "kind": "AnnotationsTransformer", "metadata": {"name": "t7"}, "annotations": {"ta": "5"}, "fieldSpecs": [{"path": "metadata/annotations", "create": True}]},
    {"apiVersion": "builtin", "kind": "ImageTagTransformer", "metadata": {"name": "t8"}, "imageTag": {"name": "nginx", "newTag": "tt"}},
    {"apiVersion": "builtin", "kind": "ReplicaCountTransformer", "metadata": {"name": "t9"}, "replica": {"name": "web", "count": 7}, "fieldSpecs": [{"path": "spec/replicas", "create": True, "kind": "Deployment"}]},
    {"apiVersion": "builtin", "kind": "PatchTransformer", "metadata": {"name": "t10"}, "patch": '[{"op": "add", "path": "/metadata/annotations", "value": {"pt": "x"}}]', "target": {"kind": "Service"}},
    {"apiVersion": "builtin", "kind": "ReplacementTransformer", "metadata": {"name": "t11"}, "replacements": [{"source": {"kind": "Service", "name": "web"}, "targets": [{"select": {"kind": "Deployment"}, "fieldPaths": ["metadata.annotations.svc"], "options": {"create": True}}]}]},
    {"apiVersion": "builtin", "kind": "HashTransformer", "metadata": {"name": "t12"}},
]
CONFIG = {
    "nameReference": [{"kind": "ConfigMap", "fieldSpecs": [{"kind": "Thing", "path": "spec/ref/name"}]},
                      {"kind": "Service", "version": "v1", "fieldSpecs": [{"path": "spec/ref/name", "kind": "Thing"}]}],
    "varReference": [{"path": "spec/text", "kind": "Thing"}],
    "commonLabels": [{"path": "spec/labels", "create": True, "kind": "Thing"}],
    "images": [{"path": "spec/text", "kind": "Thing"}],
    "namePrefix": [{"path": "spec/text", "kind": "Thing"}],
}


def write(path, text, mode="w"):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, mode) as f:
        f.write(text)


def dressed(r, directory, k):
    """Writes a kustomization with the files it may name."""
    write(os.path.join(directory, "kustomization.yaml"), yaml_dump(k))
    write(os.path.join(directory, "data.txt"), "some text\nsecond line\n")
    write(os.path.join(directory, "bin.dat"), bytes([0, 255, 254, 10]) * 20, "wb")
    write(os.path.join(directory, "e.env"), "# c\nEK=ev\n  EL=\"q\" \nEM\n")
    write(os.path.join(directory, "config.yaml"), yaml_dump(CONFIG))


def objects(r, count):
    out, seen = [], set()
    for _ in range(count):
        o = resource(r, r.choice(KINDS), r.choice(NAMES))
        key = (o["apiVersion"].split("/")[0], o["kind"], o["metadata"]["name"], o["metadata"].get("namespace", "default"))
        if key not in seen:
            seen.add(key)
            out.append(o)
    return out


def tree(seed, root, focus):
    r = Random(seed)
    # A few features each, so that most trees render and a difference is easy to read.
    picked = r.sample(FEATURES, r.randint(1, 4))
    weights = {f: 0.6 for f in picked}
    if focus:
        weights[focus] = 1.0
    known = objects(r, r.randint(1, 7))
    k = kustomization(r, known if r.maybe(0.3) else [], False, {f: w * 0.5 for f, w in weights.items()})
    k["resources"] = ["all.yaml"]
    write(os.path.join(root, "base/all.yaml"), "---\n".join(yaml_dump(o) for o in known))
    dressed(r, os.path.join(root, "base"), k)
    layers = ["../base"]
    if r.maybe(0.3):
        # Two arms over one base.
        for arm in ("blue", "green"):
            k = kustomization(r, known, False, weights)
            k["nameSuffix"] = "-" + arm
            k["resources"] = ["../base"]
            dressed(r, os.path.join(root, arm), k)
        layers = ["../blue", "../green"]
    k = kustomization(r, known, True, weights)
    k["resources"] = layers
    extra = [o for o in objects(r, r.randint(0, 2))]
    if extra:
        k["resources"] = r.sample(layers + ["extra.yaml"], len(layers) + 1)
        write(os.path.join(root, "top/extra.yaml"), "---\n".join(yaml_dump(o) for o in extra))
    if r.maybe(0.2):
        c = kustomization(r, known, False, weights)
        c["apiVersion"], c["kind"] = "kustomize.config.k8s.io/v1alpha1", "Component"
        if r.maybe(0.3):
            more = objects(r, 1)
            c["resources"] = ["more.yaml"]
            write(os.path.join(root, "component/more.yaml"), yaml_dump(more[0]))
        dressed(r, os.path.join(root, "component"), c)
        k["components"] = ["../component"]
    dressed(r, os.path.join(root, "top"), k)


# What a tree of many features is made of: kinds that refer to each other most.
TALKATIVE = ["Deployment", "Service", "ConfigMap", "ServiceAccount", "RoleBinding", "ClusterRoleBinding", "Role", "ClusterRole", "Ingress",
             "StatefulSet", "CronJob", "Secret", "Thing", "HorizontalPodAutoscaler", "Namespace"]
LABEL_FIELDS = [
    [{"path": "spec/template/metadata/labels", "create": True, "kind": "Deployment"}],
    [{"path": "spec/jobTemplate/spec/template/metadata/labels", "create": True, "kind": "CronJob"},
     {"path": "spec/selector", "kind": "Service", "version": "v1"}],
    [{"path": "spec/list/labels", "create": True, "kind": "Thing"}],
]
VALIDATOR = {"apiVersion": "builtin", "kind": "LabelTransformer", "metadata": {"name": "v"}, "labels": {}, "fieldSpecs": []}


def talkative(r, count):
    """Objects of which no two have the same kind and name, whatever their namespaces become."""
    out = {}
    for _ in range(count):
        o = resource(r, r.choice(TALKATIVE + KINDS), r.choice(NAMES))
        out.setdefault((o["apiVersion"].split("/")[0], o["kind"], o["metadata"]["name"]), o)
    return list(out.values())


def likely(r, k, known, top):
    """Makes a kustomization likely to render, and adds what `kustomization` does not."""
    scaled = [o["metadata"]["name"] for o in known if o["kind"] in ("Deployment", "StatefulSet", "ReplicaSet")]
    if k.pop("replicas", None) and scaled:
        k["replicas"] = [{"name": r.choice(scaled), "count": r.randint(0, 5)}]
    for field, kind in (("configMapGenerator", "ConfigMap"), ("secretGenerator", "Secret")):
        there = [o["metadata"]["name"] for o in known if o["kind"] == kind]
        generators = {}
        for g in k.pop(field, []):
            if g.get("behavior") in ("merge", "replace") and there:
                g["name"] = r.choice(there)
                g.pop("namespace", None)
            else:
                g.pop("behavior", None)
                g["name"] = "gen%d" % r.randint(0, 3)
            generators.setdefault(g["name"], g)
        if generators:
            k[field] = list(generators.values())
    if r.maybe(0.3):
        k.setdefault("labels", []).append({"pairs": {"f": "v"}, "fields": r.choice(LABEL_FIELDS), "includeTemplates": r.maybe(0.4)})
    if r.maybe(0.15) and top:
        k["validators"] = [yaml_dump(VALIDATOR)]
    if r.maybe(0.12):
        k["generators"] = [yaml_dump({"apiVersion": "builtin", "kind": "ConfigMapGenerator", "metadata": {"name": "plug%d" % r.randint(0, 2)}, "literals": ["A=b"]})]
    if r.maybe(0.1) and known:
        o = r.choice(known)
        patch = {"apiVersion": o["apiVersion"], "kind": r.choice([o["kind"], "Other"]),
                 "metadata": {"name": r.choice(["newname", o["metadata"]["name"]]), "labels": {"z": None}}}
        k.setdefault("patches", []).append({"target": {"kind": o["kind"], "name": o["metadata"]["name"]}, "patch": yaml_dump(patch),
                                            "options": {"allowNameChange": r.maybe(), "allowKindChange": r.maybe()}})
    return k


def tree_of_many(seed, root, focus):
    """Like `tree`, with more features and layers at once; fewer of these render."""
    r = Random("many %d" % seed)
    weights = {f: 0.45 for f in r.sample(FEATURES, r.randint(4, 9))}
    if focus:
        weights[focus] = 1.0
    known = talkative(r, r.randint(3, 9))

    def layer(name, resources, share, top=False, component=False, **more):
        patched = known if top or component or name != "base" or r.maybe(0.4) else []
        k = likely(r, kustomization(r, patched, top, {f: w * share for f, w in weights.items()}), known, top)
        if component:
            k["apiVersion"], k["kind"] = "kustomize.config.k8s.io/v1alpha1", "Component"
        k["resources"] = resources
        k.update(more)
        dressed(r, os.path.join(root, name), k)
        return ["../" + name]

    write(os.path.join(root, "base/all.yaml"), "---\n".join(yaml_dump(o) for o in known))
    layers = layer("base", ["all.yaml"], 0.5)
    for i in range(r.choice([0, 0, 1, 2])):
        components = {"components": ["../component%d" % r.randint(0, 1)]} if r.maybe(0.3) else {}
        layers = layer("middle%d" % i, layers, 0.6, **components)
    if r.maybe(0.25):
        layers = sum((layer(arm, layers, 0.4, nameSuffix="-" + arm) for arm in ("blue", "green")), [])
    for i in range(2):
        layer("component%d" % i, [], 0.5, component=True)
    components = {"components": r.sample(["../component0", "../component1"], r.randint(1, 2))} if r.maybe(0.4) else {}
    layer("top", layers, 1.0, top=True, **components)


def run(command, directory):
    try:
        done = subprocess.run(command + [directory], capture_output=True, timeout=60)
        return done.returncode, done.stdout, done.stderr.decode(errors="replace")
    except subprocess.TimeoutExpired:
        return 124, b"", "timeout"


def compare(seed, args):
    root = tempfile.mkdtemp(prefix="kz%d-" % seed, dir=args.folder)
    (tree_of_many if args.many else tree)(seed, root, args.focus)
    top = os.path.join(root, "top")
    ours, theirs = run(args.ours.split(), top), run(args.theirs.split(), top)
    verdict = "same"
    if theirs[0] == 0 and ours[0] == 0:
        verdict = "same" if ours[1] == theirs[1] else "DIFFERENT"
    elif theirs[0] == 0:
        verdict = "WE FAIL"
    elif ours[0] == 0:
        verdict = "THEY FAIL"
    else:
        verdict = "both fail"
    if ours[0] not in (0, 1):
        verdict = "CRASH"
    if verdict.isupper() and args.keep:
        kept = os.path.join(args.keep, str(seed))
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(root, kept)
        write(os.path.join(kept, "ours.txt"), ours[1].decode(errors="replace") + ours[2])
        write(os.path.join(kept, "theirs.txt"), theirs[1].decode(errors="replace") + theirs[2])
    shutil.rmtree(root)
    return seed, verdict, ours[2].strip(), theirs[2].strip()


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--ours", required=True)
    p.add_argument("--theirs", default="kubectl kustomize")
    p.add_argument("--seeds", default="0:200")
    p.add_argument("--focus", choices=FEATURES)
    p.add_argument("--many", action="store_true", help="many features and layers at once")
    p.add_argument("--keep")
    p.add_argument("--jobs", type=int, default=2)
    args = p.parse_args()
    first, last = (int(x) for x in args.seeds.split(":"))
    counts = {}
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        args.folder = folder
        for seed, verdict, ours, theirs in pool.map(lambda s: compare(s, args), range(first, last)):
            counts[verdict] = counts.get(verdict, 0) + 1
            if verdict.isupper():
                print("%d %s\n   ours: %s\n   theirs: %s" % (seed, verdict, ours[-300:].replace("\n", " | "), theirs[-300:].replace("\n", " | ")), flush=True)
    print(counts)
    return 1 if any(v.isupper() for v in counts) else 0


if __name__ == "__main__":
    sys.exit(main())
