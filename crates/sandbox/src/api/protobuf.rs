//! The few objects that `kubectl create` sends in protobuf: enough of the wire format to read them.
//!
//! Answers are always JSON, which every client accepts. A field that is not listed here refuses the request, so that nothing
//! is lost silently.

use base64::Engine as _;
use serde_json::{Map, Value, json};

use crate::api::errors::ApiError;

/// How Kubernetes marks its protobuf.
const MAGIC: &[u8] = b"k8s\0";

/// `Type number name how`: how is `text`, `int`, `bool`, `texts`, `map` (text to text), `bytes` (text to bytes), `port` (a
/// number or a name), `skip`, `Type` or `[Type]`.
const LINES: &str = "
Unknown 1 typeMeta TypeMeta
TypeMeta 1 apiVersion text
TypeMeta 2 kind text
ObjectMeta 1 name text
ObjectMeta 2 generateName text
ObjectMeta 3 namespace text
ObjectMeta 4 selfLink text
ObjectMeta 5 uid text
ObjectMeta 6 resourceVersion text
ObjectMeta 7 generation skip
ObjectMeta 8 creationTimestamp skip
ObjectMeta 11 labels map
ObjectMeta 12 annotations map
ObjectMeta 14 finalizers texts
Namespace 1 metadata ObjectMeta
Namespace 2 spec skip
Namespace 3 status skip
ConfigMap 1 metadata ObjectMeta
ConfigMap 2 data map
ConfigMap 3 binaryData bytes
ConfigMap 4 immutable bool
Secret 1 metadata ObjectMeta
Secret 2 data bytes
Secret 3 type text
Secret 4 stringData map
Secret 5 immutable bool
ServiceAccount 1 metadata ObjectMeta
Deployment 1 metadata ObjectMeta
Deployment 2 spec DeploymentSpec
Deployment 3 status skip
DeploymentSpec 1 replicas int
DeploymentSpec 2 selector LabelSelector
DeploymentSpec 3 template PodTemplateSpec
DeploymentSpec 4 strategy skip
DeploymentSpec 5 minReadySeconds int
DeploymentSpec 6 revisionHistoryLimit int
DeploymentSpec 7 paused skip
LabelSelector 1 matchLabels map
PodTemplateSpec 1 metadata ObjectMeta
PodTemplateSpec 2 spec PodSpec
PodSpec 2 containers [Container]
PodSpec 3 restartPolicy text
PodSpec 4 terminationGracePeriodSeconds int
PodSpec 6 dnsPolicy text
PodSpec 8 serviceAccountName text
PodSpec 9 serviceAccount text
PodSpec 10 nodeName text
PodSpec 11 hostNetwork skip
PodSpec 12 hostPID skip
PodSpec 13 hostIPC skip
PodSpec 14 securityContext skip
PodSpec 16 hostname text
PodSpec 17 subdomain text
PodSpec 19 schedulerName text
PodSpec 24 priorityClassName text
Container 1 name text
Container 2 image text
Container 3 command texts
Container 4 args texts
Container 5 workingDir text
Container 6 ports [ContainerPort]
Container 8 resources skip
Container 13 terminationMessagePath text
Container 14 imagePullPolicy text
Container 16 stdin skip
Container 17 stdinOnce skip
Container 18 tty skip
Container 20 terminationMessagePolicy text
ContainerPort 1 name text
ContainerPort 2 hostPort skip
ContainerPort 3 containerPort int
ContainerPort 4 protocol text
ContainerPort 5 hostIP text
Service 1 metadata ObjectMeta
Service 2 spec ServiceSpec
Service 3 status skip
ServiceSpec 1 ports [ServicePort]
ServiceSpec 2 selector map
ServiceSpec 3 clusterIP text
ServiceSpec 4 type text
ServiceSpec 7 sessionAffinity text
ServiceSpec 8 loadBalancerIP text
ServiceSpec 10 externalName text
ServiceSpec 11 externalTrafficPolicy text
ServiceSpec 12 healthCheckNodePort skip
ServiceSpec 13 publishNotReadyAddresses skip
ServicePort 1 name text
ServicePort 2 protocol text
ServicePort 3 port int
ServicePort 4 targetPort port
ServicePort 5 nodePort int
DeleteOptions 1 gracePeriodSeconds int
DeleteOptions 2 preconditions Preconditions
DeleteOptions 4 propagationPolicy text
DeleteOptions 5 dryRun texts
Preconditions 1 uid text
Preconditions 2 resourceVersion text
SelfSubjectAccessReview 1 metadata ObjectMeta
SelfSubjectAccessReview 2 spec skip
SelfSubjectAccessReview 3 status skip
SelfSubjectRulesReview 1 metadata ObjectMeta
SelfSubjectRulesReview 2 spec skip
SelfSubjectRulesReview 3 status skip
";

/// Reads an object.
pub(crate) fn decode(body: &[u8]) -> Result<Value, ApiError> {
    let refused = || ApiError::unsupported_media_type("application/vnd.kubernetes.protobuf");
    let envelope = body.strip_prefix(MAGIC).ok_or_else(refused)?;
    let fields = fields(envelope).ok_or_else(refused)?;
    let part = |wanted: u64| fields.iter().find(|(number, _)| *number == wanted).map(|(_, field)| field);
    let Some(Field::Bytes(meta)) = part(1) else { return Err(refused()) };
    let Some(Field::Bytes(raw)) = part(2) else { return Err(refused()) };
    let meta = message("TypeMeta", meta).ok_or_else(refused)?;
    let kind = meta["kind"].as_str().unwrap_or_default().to_owned();
    let mut object = message(&kind, raw).ok_or_else(refused)?;
    object["apiVersion"] = meta["apiVersion"].clone();
    object["kind"] = json!(kind);
    Ok(object)
}

/// A field's value on the wire.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn fields(mut bytes: &[u8]) -> Option<Vec<(u64, Field<'_>)>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut bytes)?),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let (value, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                Field::Bytes(value)
            }
            _ => return None,
        };
        fields.push((tag >> 3, field));
    }
    Some(fields)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn known(kind: &str, number: u64) -> Option<(&'static str, &'static str)> {
    LINES.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let fits = words.next()? == kind && words.next()?.parse() == Ok(number);
        fits.then(|| Some((words.next()?, words.next()?))).flatten()
    })
}

fn message(kind: &str, bytes: &[u8]) -> Option<Value> {
    let mut object = Map::new();
    for (number, field) in fields(bytes)? {
        let Some((name, how)) = known(kind, number) else {
            // Go writes empty messages for what was left out.
            match field {
                Field::Bytes([]) | Field::Number(0) => continue,
                Field::Bytes(_) | Field::Number(_) => return None,
            }
        };
        match (how, field) {
            ("skip", _) => (),
            ("int", Field::Number(value)) => {
                object.insert(name.to_owned(), json!(i64::from_le_bytes(value.to_le_bytes())));
            }
            ("bool", Field::Number(value)) => {
                object.insert(name.to_owned(), json!(value != 0));
            }
            ("text", Field::Bytes(value)) => {
                if !value.is_empty() {
                    object.insert(name.to_owned(), json!(text(value)?));
                }
            }
            ("texts", Field::Bytes(value)) => push(&mut object, name, json!(text(value)?)),
            ("map" | "bytes", Field::Bytes(entry)) => {
                let (key, value) = map_entry(entry, how == "bytes")?;
                object.entry(name).or_insert_with(|| json!({}))[key] = value;
            }
            ("port", Field::Bytes(value)) => {
                if let Some(port) = port(value)? {
                    object.insert(name.to_owned(), port);
                }
            }
            (how, Field::Bytes(value)) => match how.strip_prefix('[') {
                Some(kind) => push(&mut object, name, message(kind.trim_end_matches(']'), value)?),
                None => {
                    object.insert(name.to_owned(), message(how, value)?);
                }
            },
            (_, Field::Number(_)) => return None,
        }
    }
    Some(Value::Object(object))
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn push(object: &mut Map<String, Value>, name: &str, value: Value) {
    if let Value::Array(items) = object.entry(name).or_insert_with(|| json!([])) {
        items.push(value);
    }
}

fn map_entry(entry: &[u8], is_bytes: bool) -> Option<(String, Value)> {
    let (mut key, mut value) = (String::new(), json!(""));
    for (number, field) in fields(entry)? {
        match (number, field) {
            (1, Field::Bytes(bytes)) => text(bytes)?.clone_into(&mut key),
            (2, Field::Bytes(bytes)) if is_bytes => {
                value = json!(base64::engine::general_purpose::STANDARD.encode(bytes));
            }
            (2, Field::Bytes(bytes)) => value = json!(text(bytes)?),
            _ => return None,
        }
    }
    Some((key, value))
}

/// `IntOrString`: which of both it is, the number, the name.
fn port(bytes: &[u8]) -> Option<Option<Value>> {
    let (mut is_name, mut number, mut name) = (false, 0, "");
    for (field, value) in fields(bytes)? {
        match (field, value) {
            (1, Field::Number(kind)) => is_name = kind == 1,
            (2, Field::Number(value)) => number = value,
            (3, Field::Bytes(value)) => name = text(value)?,
            _ => return None,
        }
    }
    Some(match (is_name, number) {
        (true, _) => Some(json!(name)),
        (false, 0) => None,
        (false, number) => Some(json!(number)),
    })
}
