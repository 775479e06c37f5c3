//! Whether a request was meant for this machine. A page of any host name can be made to resolve to 127.0.0.1 (DNS
//! rebinding), but it cannot make the browser send another host than the page's.

use http::{header, request::Parts};

/// Whether everything in the request that names a host names this machine, and something does.
pub(super) fn is_this_machine(parts: &Parts) -> bool {
    let authority = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    let hosts = parts.headers.get_all(header::HOST).iter().map(http::HeaderValue::as_bytes);
    let mut named = false;
    for host in authority.into_iter().chain(hosts) {
        if !is_local(host) {
            return false;
        }
        named = true;
    }
    named
}

/// `localhost`, `127.0.0.1` or `[::1]`, with or without a port.
fn is_local(host: &[u8]) -> bool {
    for name in [&b"localhost"[..], b"127.0.0.1", b"[::1]"] {
        if let Some((start, rest)) = host.split_at_checked(name.len())
            && start.eq_ignore_ascii_case(name)
        {
            return match rest {
                [] => true,
                [b':', port @ ..] => (1..=5).contains(&port.len()) && port.iter().all(u8::is_ascii_digit),
                _ => false,
            };
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(uri: &str, hosts: &[&str]) -> Parts {
        let mut request = http::Request::builder().uri(uri);
        for host in hosts {
            request = request.header(header::HOST, *host);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_three_local_names_pass_with_and_without_a_port() {
        for host in ["localhost", "LocalHost:50051", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:65535"] {
            assert!(is_this_machine(&parts("/x", &[host])), "{host}");
            assert!(is_this_machine(&parts(&format!("http://{host}/x"), &[])), "{host}");
        }
    }

    #[test]
    fn a_rebound_name_is_refused_wherever_it_stands() {
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.1:",
            "127.0.0.1:x",
            "localhost:123456",
            "127.0.0.2",
            "0.0.0.0",
            "[::]",
            "::1",
            "",
            "x@localhost",
            "localhost@evil.example",
        ] {
            assert!(!is_this_machine(&parts("/x", &[host])), "{host}");
        }
        assert!(!is_this_machine(&parts("/x", &[])));
        assert!(!is_this_machine(&parts("http://evil.example/x", &["localhost"])));
        assert!(!is_this_machine(&parts("http://localhost/x", &["evil.example"])));
        assert!(!is_this_machine(&parts("/x", &["localhost", "evil.example"])));
    }
}
