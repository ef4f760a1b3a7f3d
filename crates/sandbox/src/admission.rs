//! ValidatingAdmissionPolicies with a small part of CEL: enough to be refused by one.
//!
//! An expression is a chain of `&&` and `||` (`&&` binds closer, no parentheses) of: `true`, `false`, `has(PATH)`, `PATH OP VALUE` with `==`,
//! `!=`, `<`, `<=`, `>`, `>=`, and `PATH.startsWith('x')`, `.endsWith('x')`, `.contains('x')`, each also after `!`. `PATH`
//! begins with `object`, `oldObject` or `request` (`request.operation`, `request.namespace`, `request.name`); a step is a
//! name or an index in brackets. Other expressions are refused when the policy is written.

use serde_json::{Value, json};

use crate::api::errors::{ApiError, FieldError};
use crate::object::{self, list, text};
use crate::resources::{POLICIES, POLICY_BINDINGS, Resource};
use crate::store::{Key, LabelSelector, Transaction};

/// A write as policies see it.
pub(crate) struct Attempt<'a> {
    /// `CREATE` or `UPDATE`.
    pub(crate) operation: &'static str,
    pub(crate) resource: &'static Resource,
    pub(crate) namespace: &'a str,
    pub(crate) old: Option<&'a Value>,
    pub(crate) new: &'a Value,
}

/// Refuses a write that a bound policy denies.
pub(crate) fn check(transaction: &Transaction<'_>, attempt: &Attempt<'_>) -> Result<(), ApiError> {
    if attempt.resource.group == POLICIES.group {
        return Ok(());
    }
    for binding in transaction.list(*POLICY_BINDINGS, "") {
        let denies = list(&binding, "/spec/validationActions").iter().any(|action| action == "Deny");
        let key = Key::new(*POLICIES, "", text(&binding, "/spec/policyName"));
        let Some(policy) = transaction.get(&key).filter(|_| denies) else { continue };
        let bound = &binding["spec"]["matchResources"];
        let matches = constrains(&policy["spec"]["matchConstraints"], attempt)
            && (bound["resourceRules"].is_null() || constrains(bound, attempt))
            && selects(bound, attempt);
        if !matches {
            continue;
        }
        for validation in list(&policy, "/spec/validations") {
            let expression = text(validation, "/expression");
            if Expression::parse(expression).is_some_and(|parsed| parsed.holds(attempt)) {
                continue;
            }
            let message = match text(validation, "/message") {
                "" => format!("failed expression: {expression}"),
                message => message.to_owned(),
            };
            let why = format!(
                "ValidatingAdmissionPolicy '{}' with binding '{}' denied request: {message}",
                key.name,
                object::name(&binding)
            );
            return Err(ApiError::denied(attempt.resource, object::name(attempt.new), &why));
        }
    }
    Ok(())
}

/// What is wrong with a policy itself.
pub(crate) fn problems(policy: &Value) -> Vec<FieldError> {
    let validations = list(policy, "/spec/validations").iter().enumerate();
    let wrong = validations.filter(|(_, one)| Expression::parse(text(one, "/expression")).is_none());
    wrong
        .map(|(index, one)| {
            let field = format!("spec.validations[{index}].expression");
            FieldError::invalid(field, &one["expression"], "the sandbox reads only a part of CEL: see its README")
        })
        .collect()
}

fn constrains(constraints: &Value, attempt: &Attempt<'_>) -> bool {
    let names = |rule: &Value, field: &str, wanted: &str| {
        list(rule, &format!("/{field}")).iter().any(|one| one == "*" || one == wanted)
    };
    list(constraints, "/resourceRules").iter().any(|rule| {
        let named = list(rule, "/resourceNames");
        names(rule, "apiGroups", attempt.resource.group)
            && names(rule, "apiVersions", attempt.resource.version)
            && names(rule, "operations", attempt.operation)
            && names(rule, "resources", attempt.resource.plural)
            && (named.is_empty() || named.iter().any(|name| name == object::name(attempt.new)))
    }) && selects(constraints, attempt)
}

fn selects(constraints: &Value, attempt: &Attempt<'_>) -> bool {
    let selector = &constraints["objectSelector"];
    let namespaces = &constraints["namespaceSelector"];
    let place = json!({"metadata": {"labels": {"kubernetes.io/metadata.name": attempt.namespace}}});
    (!selector.is_object() || LabelSelector::of(selector).matches(attempt.new))
        && (!namespaces.is_object() || LabelSelector::of(namespaces).matches(&place))
}

/// Alternatives of terms that must all hold.
struct Expression(Vec<Vec<Term>>);

struct Term {
    negated: bool,
    test: Test,
}

enum Test {
    Constant(bool),
    Has(String),
    Compare(String, &'static str, Value),
    Text(String, &'static str, String),
}

const OPERATORS: [&str; 6] = ["==", "!=", "<=", ">=", "<", ">"];
const TEXT_TESTS: [&str; 3] = ["startsWith", "endsWith", "contains"];

impl Expression {
    fn parse(text: &str) -> Option<Expression> {
        let chains = text.split("||").map(|chain| chain.split("&&").map(Term::parse).collect::<Option<Vec<_>>>());
        chains.collect::<Option<Vec<_>>>().map(Expression)
    }

    fn holds(&self, attempt: &Attempt<'_>) -> bool {
        self.0.iter().any(|chain| chain.iter().all(|term| term.holds(attempt)))
    }
}

impl Term {
    fn parse(text: &str) -> Option<Term> {
        let text = text.trim();
        if let Some(rest) = text.strip_prefix('!') {
            let term = Term::parse(rest)?;
            return Some(Term { negated: !term.negated, ..term });
        }
        let test = match text {
            "true" => Test::Constant(true),
            "false" => Test::Constant(false),
            text => Test::parse(text)?,
        };
        Some(Term { negated: false, test })
    }

    fn holds(&self, attempt: &Attempt<'_>) -> bool {
        let holds = match &self.test {
            Test::Constant(holds) => *holds,
            Test::Has(path) => value_at(path, attempt).is_some(),
            Test::Compare(path, operator, wanted) => compare(value_at(path, attempt), operator, wanted),
            Test::Text(path, test, part) => {
                value_at(path, attempt).and_then(|value| {
                    let text = value.as_str()?.to_owned();
                    Some(match *test {
                        "startsWith" => text.starts_with(part.as_str()),
                        "endsWith" => text.ends_with(part.as_str()),
                        _ => text.contains(part.as_str()),
                    })
                }) == Some(true)
            }
        };
        holds != self.negated
    }
}

impl Test {
    fn parse(text: &str) -> Option<Test> {
        if let Some(inner) = text.strip_prefix("has(").and_then(|rest| rest.strip_suffix(')')) {
            return path(inner).map(Test::Has);
        }
        for test in TEXT_TESTS {
            let call = text.strip_suffix(')').and_then(|rest| rest.split_once(&format!(".{test}(")));
            if let Some((before, argument)) = call {
                return Some(Test::Text(path(before)?, test, literal(argument)?.as_str()?.to_owned()));
            }
        }
        OPERATORS.iter().find_map(|operator| {
            let (left, right) = text.split_once(operator)?;
            Some(Test::Compare(path(left)?, operator, literal(right)?))
        })
    }
}

/// A path as a JSON pointer.
fn path(text: &str) -> Option<String> {
    let text = text.trim().replace('[', ".").replace(']', "");
    let mut steps = text.split('.');
    let root = steps.next().filter(|root| ["object", "oldObject", "request"].contains(root))?;
    let mut pointer = format!("/{root}");
    for step in steps {
        let step = step.trim_matches(['\'', '"']);
        let plain = !step.is_empty() && step.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-/".contains(&b));
        if !plain {
            return None;
        }
        pointer.push('/');
        pointer.push_str(&step.replace('/', "~1"));
    }
    Some(pointer)
}

fn literal(text: &str) -> Option<Value> {
    let text = text.trim();
    let quoted = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote).filter(|inner| !inner.contains(quote));
    quoted('\'').or_else(|| quoted('"')).map(Value::from).or_else(|| serde_json::from_str(text).ok())
}

fn value_at(pointer: &str, attempt: &Attempt<'_>) -> Option<Value> {
    let (root, rest) =
        pointer[1..].split_once('/').map_or((&pointer[1..], ""), |(root, _)| (root, &pointer[1 + root.len()..]));
    let found = match root {
        "object" => attempt.new.pointer(rest).cloned(),
        "oldObject" => attempt.old?.pointer(rest).cloned(),
        _ => {
            let name = object::name(attempt.new);
            json!({"operation": attempt.operation, "namespace": attempt.namespace, "name": name}).pointer(rest).cloned()
        }
    };
    found.filter(|value| !value.is_null())
}

/// A field that is not there fails every comparison, as CEL's error does.
fn compare(found: Option<Value>, operator: &str, wanted: &Value) -> bool {
    let Some(found) = found else { return false };
    match operator {
        "==" => found == *wanted,
        "!=" => found != *wanted,
        _ => {
            let (Some(found), Some(wanted)) = (found.as_f64(), wanted.as_f64()) else { return false };
            match operator {
                "<=" => found <= wanted,
                ">=" => found >= wanted,
                "<" => found < wanted,
                _ => found > wanted,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::DEPLOYMENTS;

    #[test]
    fn expressions_hold_or_are_refused() {
        let new =
            json!({"metadata": {"name": "web", "labels": {"a/b": "x"}}, "spec": {"replicas": 3, "list": [{"n": "y"}]}});
        let attempt =
            Attempt { operation: "CREATE", resource: *DEPLOYMENTS, namespace: "default", old: None, new: &new };
        for (text, expect) in [
            ("true", Some(true)),
            ("object.spec.replicas <= 5", Some(true)),
            ("object.spec.replicas < 3", Some(false)),
            ("object.metadata.name.startsWith('w')", Some(true)),
            ("!object.metadata.name.endsWith(\"x\")", Some(true)),
            ("object.metadata.labels['a/b'] == 'x'", Some(true)),
            ("object.spec.list[0].n != 'z' && has(object.spec.replicas)", Some(true)),
            ("has(oldObject.spec) || request.operation == 'CREATE'", Some(true)),
            ("object.spec.missing == 1", Some(false)),
            ("object.spec.list.all(x, x.n == 'y')", None),
            ("1 == 1", None),
            ("", None),
        ] {
            assert_eq!(Expression::parse(text).map(|parsed| parsed.holds(&attempt)), expect, "{text}");
        }
    }
}
