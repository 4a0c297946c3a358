//! Where a request comes from, behind proxies or not.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::config::ConfigError;
use crate::request::RequestHead;

/// Proxies whose `X-Forwarded-For` is believed.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Reads addresses and networks in CIDR notation, separated by commas.
    pub(crate) fn parse(list: &str) -> Result<Self, ConfigError> {
        let network = |text: &str| match text.parse::<IpAddr>() {
            Ok(address) => Ok(IpNet::from(address.to_canonical())),
            Err(_) => text.parse::<IpNet>(),
        };
        let networks: Result<_, _> = list.split(',').map(|text| network(text.trim())).collect();
        networks.map(Self).map_err(|_| {
            ConfigError::new(
                "AUTH_TRUSTED_PROXIES",
                "must be addresses or networks separated by commas, 10.0.0.1,192.168.0.0/16",
            )
        })
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The address of whoever sent the request. A trusted proxy is believed in what it says of the one before it, and
    /// nobody else is: the list is read from its end, up to the first address that is not a trusted proxy's.
    pub(crate) fn sender(&self, head: &impl RequestHead) -> Option<IpAddr> {
        let mut sender = head.peer()?.to_canonical();
        if !self.contains(sender) {
            return Some(sender);
        }
        let mut list = Vec::new();
        head.header_values("x-forwarded-for", &mut |value| {
            list.extend(value.split(',').map(|text| address(text.trim())));
        });
        for before in list.into_iter().rev() {
            // What is no address was written by nobody who can be trusted.
            let Some(before) = before else { break };
            sender = before;
            if !self.contains(sender) {
                break;
            }
        }
        Some(sender)
    }
}

/// An address with or without a port, as proxies write it: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let in_brackets = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let address = text
        .parse()
        .or_else(|_| text.parse().map(|address: SocketAddr| address.ip()))
        .or_else(|_| in_brackets.unwrap_or_default().parse());
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::tests::Head;

    fn sender(trusted: &str, peer: &str, forwarded: &[&str]) -> Option<String> {
        let trusted = TrustedProxies::parse(trusted).expect("a list");
        let mut head = Head::get("/");
        head.peer = Some(peer.parse().expect("an address"));
        for value in forwarded {
            head = head.with("x-forwarded-for", value);
        }
        trusted.sender(&head).map(|address| address.to_string())
    }

    #[test]
    fn without_a_proxy_it_is_the_peer_whatever_is_written() {
        assert_eq!(
            sender("10.0.0.1", "192.0.2.7", &["198.51.100.1"]),
            Some("192.0.2.7".to_owned())
        );
        assert_eq!(
            sender("::ffff:10.0.0.1", "10.0.0.1", &["198.51.100.1"]),
            Some("198.51.100.1".to_owned())
        );
        assert_eq!(TrustedProxies::default().sender(&Head::get("/")), None);
    }

    #[test]
    fn a_trusted_proxy_is_believed_and_what_came_to_it_is_not() {
        for (forwarded, expected) in [
            (&["198.51.100.1"][..], "198.51.100.1"),
            (&["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
            (&["6.6.6.6, 198.51.100.1, 10.9.9.9"], "198.51.100.1"),
            (&["6.6.6.6", "198.51.100.1"], "198.51.100.1"),
            (&["198.51.100.1:4711"], "198.51.100.1"),
            (&["[2001:db8::1]:80"], "2001:db8::1"),
            (&["[2001:db8::1]"], "2001:db8::1"),
            (&["::ffff:198.51.100.1"], "198.51.100.1"),
            (&["6.6.6.6, unknown"], "10.0.0.1"),
            (&["6.6.6.6, unknown, 10.9.9.9"], "10.9.9.9"),
            (&["6.6.6.6, [2001:db8::1]junk"], "10.0.0.1"),
            (&[""], "10.0.0.1"),
            (&[], "10.0.0.1"),
            (&["10.1.1.1, 10.2.2.2"], "10.1.1.1"),
        ] {
            assert_eq!(
                sender("10.0.0.0/8", "10.0.0.1", forwarded),
                Some(expected.to_owned()),
                "{forwarded:?}"
            );
        }
    }

    #[test]
    fn a_list_is_of_addresses_and_networks() {
        assert!(TrustedProxies::parse("127.0.0.1, 10.0.0.0/8,::1,fd00::/8").is_ok());
        for list in [
            "",
            "proxy",
            "10.0.0.1,proxy",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.1;10.0.0.2",
        ] {
            assert!(TrustedProxies::parse(list).is_err(), "{list}");
        }
    }
}
