//! What a user's roles are. Providers put them in different places and shapes; gates, hooks and pages see the claim `roles`
//! alone.

use serde_json::{Map, Value};

use crate::config::ConfigError;

/// The claim that holds the roles, for everyone who asks for them.
pub(crate) const ROLES: &str = "roles";
/// A segment that stands for the client's own identifier.
const CLIENT_ID: &str = "{client_id}";

/// The places of a user's roles among the claims, each as the names on the way there. Where there is none, the claim
/// `roles` is what the provider sends.
#[derive(Clone, Debug, Default)]
pub(crate) struct RoleClaims(Vec<Vec<String>>);

impl RoleClaims {
    /// Reads the places: the name of a claim, or a JSON pointer (RFC 6901) to what stands in one.
    pub(crate) fn parse(places: &[String], client_id: &str) -> Result<Self, ConfigError> {
        places
            .iter()
            .map(|place| parse(place, client_id))
            .collect::<Option<_>>()
            .map(Self)
            .ok_or_else(|| {
                ConfigError::new(
                    "AUTH_ROLES_CLAIM",
                    "each must be a claim's name such as groups, or a JSON pointer such as /realm_access/roles",
                )
            })
    }

    /// Puts roles where the first place is, as a provider would.
    #[cfg(feature = "testing")]
    pub(crate) fn place(&self, roles: &[String], claims: &mut Map<String, Value>) {
        let usual = [ROLES.to_owned()];
        let place = self.0.first().map_or(&usual[..], Vec::as_slice);
        let Some((name, way)) = place.split_last() else {
            return;
        };
        let mut at = claims;
        for step in way {
            let next = at.entry(step).or_insert(Value::Null);
            if !next.is_object() {
                *next = Value::Object(Map::new());
            }
            let Some(inner) = next.as_object_mut() else {
                return;
            };
            at = inner;
        }
        at.insert(name.clone(), Value::from(roles));
    }

    /// Puts the roles into the claim `roles`, in the place of what stood there: all that are found, each once, in the order
    /// of the places. Where none is found, there is no such claim.
    pub(crate) fn settle(&self, claims: &mut Map<String, Value>) {
        if self.0.is_empty() {
            return;
        }
        let mut roles: Vec<&str> = Vec::new();
        for name in self
            .0
            .iter()
            .filter_map(|place| find(claims, place))
            .flat_map(names)
        {
            if !name.is_empty() && !roles.contains(&name) {
                roles.push(name);
            }
        }
        if roles.is_empty() {
            claims.remove(ROLES);
        } else {
            let roles = Value::from(roles);
            claims.insert(ROLES.to_owned(), roles);
        }
    }
}

fn parse(place: &str, client_id: &str) -> Option<Vec<String>> {
    let Some(pointer) = place.strip_prefix('/') else {
        return (!place.is_empty()).then(|| vec![place.to_owned()]);
    };
    pointer
        .split('/')
        .map(|segment| match segment {
            CLIENT_ID => Some(client_id.to_owned()),
            _ => unescape(segment),
        })
        .collect()
}

/// RFC 6901 §4: `~1` is a slash, `~0` a tilde, and no other tilde stands there. Nobody names a claim by nothing.
fn unescape(segment: &str) -> Option<String> {
    let is_escaped = |rest: &str| rest.starts_with(['0', '1']);
    let is_good = !segment.is_empty() && segment.split('~').skip(1).all(is_escaped);
    is_good.then(|| segment.replace("~1", "/").replace("~0", "~"))
}

fn find<'a>(claims: &'a Map<String, Value>, place: &[String]) -> Option<&'a Value> {
    let (first, rest) = place.split_first()?;
    let first = claims.get(first)?;
    rest.iter()
        .try_fold(first, |value, name| value.as_object()?.get(name))
}

/// The roles that a value names: a string, the strings of a list, or the names in an object that says of each role which
/// organisations have given it (ZITADEL); one that none has given is not held.
fn names(value: &Value) -> Vec<&str> {
    match value {
        Value::String(name) => vec![name],
        Value::Array(values) => values.iter().filter_map(Value::as_str).collect(),
        Value::Object(members) => {
            let is_given = |by: &Value| by.as_object().is_some_and(|by| !by.is_empty());
            let given = members.iter().filter(|(_, by)| is_given(by));
            given.map(|(name, _)| name.as_str()).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settled(places: &[&str], claims: Value) -> Value {
        let places: Vec<_> = places.iter().map(|place| (*place).to_owned()).collect();
        let roles = RoleClaims::parse(&places, "my/app~1").expect("good places");
        let mut claims = claims.as_object().expect("an object").clone();
        roles.settle(&mut claims);
        claims.remove(ROLES).unwrap_or(Value::Null)
    }

    #[test]
    fn without_a_place_roles_are_what_the_provider_sends() {
        for roles in [json!(["a"]), json!("a"), json!({"a": 1}), json!([]), Value::Null] {
            assert_eq!(settled(&[], json!({"roles": roles, "groups": ["b"]})), roles);
        }
    }

    #[test]
    fn roles_of_all_places_come_together_each_once_in_order() {
        let claims = json!({
            "realm_access": {"roles": ["admin", "user"]},
            "resource_access": {
                "my/app~1": {"roles": ["editor", "user"]},
                "another": {"roles": ["owner"]},
            },
            "https://app.example/roles": "auditor",
        });
        let places = ["/realm_access/roles", "/resource_access/{client_id}/roles"];
        assert_eq!(
            settled(&places, claims.clone()),
            json!(["admin", "user", "editor"])
        );
        let places = ["https://app.example/roles", "/resource_access/my~1app~01/roles"];
        assert_eq!(
            settled(&places, claims.clone()),
            json!(["auditor", "editor", "user"])
        );
        let place = ["/https:~1~1app.example~1roles"];
        assert_eq!(settled(&place, claims), json!(["auditor"]));
    }

    #[test]
    fn a_role_is_a_string_in_a_list_or_given_by_somebody() {
        for (value, roles) in [
            (json!("admin"), json!(["admin"])),
            (json!("admin,user"), json!(["admin,user"])),
            (
                json!(["admin", 1, null, ["user"], {"x": {"y": "z"}}, ""]),
                json!(["admin"]),
            ),
            (
                json!({"admin": {"1782": "acme.example"}, "user": {}, "owner": true, "guest": null, "x": "y"}),
                json!(["admin"]),
            ),
            (json!(""), Value::Null),
            (json!([]), Value::Null),
            (json!({}), Value::Null),
            (json!(true), Value::Null),
            (json!(7), Value::Null),
            (Value::Null, Value::Null),
        ] {
            assert_eq!(settled(&["groups"], json!({ "groups": value })), roles, "{value}");
        }
    }

    #[test]
    fn what_stood_in_roles_counts_only_where_it_is_named() {
        let claims = json!({"roles": ["admin"], "groups": ["users"]});
        assert_eq!(settled(&["groups"], claims.clone()), json!(["users"]));
        assert_eq!(
            settled(&["roles", "groups"], claims.clone()),
            json!(["admin", "users"])
        );
        for absent in [
            "cognito:groups",
            "/groups/0",
            "/roles/admin",
            "/realm_access/roles",
            "/{client_id}",
        ] {
            assert_eq!(settled(&[absent], claims.clone()), Value::Null, "{absent}");
        }
    }

    #[test] // RFC 6901 §3
    fn a_place_is_a_name_or_a_pointer() {
        for bad in ["", "/", "//roles", "/roles/", "/a~", "/a~2", "/a/~b"] {
            let error = RoleClaims::parse(&["groups".to_owned(), bad.to_owned()], "app").expect_err(bad);
            assert_eq!(error.variable(), "AUTH_ROLES_CLAIM");
        }
    }
}
