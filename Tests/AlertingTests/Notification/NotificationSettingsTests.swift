import Metrics
import Runtime
import Testing

@testable import Alerting

@Suite struct NotificationSettingsTests {
    private func read(_ text: String) throws -> NotificationSettings? {
        let root = try #require(try YAML.parse(text))
        let settings = Settings(file: ("out.yml", root))
        let found = try NotificationSettings.read(settings, externalURL: "http://out.example")
        try settings.finish()
        return found
    }

    @Test func withoutReceiversNobodyIsTold() throws {
        #expect(try read("{}") == nil)
        #expect(try read("alerting: {receivers: }") == nil)
    }

    @Test func oneReceiverNeedsNoRoute() throws {
        let found = try #require(try read("alerting: {receivers: [{name: hook, webhook: {url: 'http://h/x'}}]}"))
        let route = found.switchboard.route
        #expect(route.receiver == "hook" && route.grouping == .by(["alertname"]) && route.groupWait == .seconds(30))
        #expect(route.groupInterval == .seconds(300) && route.repeatInterval == .seconds(14400))
        let webhook = found.switchboard.receivers[0].webhooks[0]
        #expect(webhook.url == .text("http://h/x") && webhook.sendsResolved && webhook.maxAlerts == 0)
        #expect(found.switchboard.externalURL == "http://out.example" && found.heartbeats.isEmpty)
    }

    @Test func everythingAlertmanagersUsersWriteIsRead() throws {
        let text = """
            alerting:
              receivers:
              - name: am
                alertmanager: {urls: [http://a:9093, https://b/am], timeout: 5s, basic_auth: {username: u, password_file: /p}}
              - name: hooks
                webhook_configs:
                - url_file: /run/url
                  send_resolved: false
                  max_alerts: 5
                  timeout: 3s
                  http_config:
                    authorization: {type: Token, credentials_file: /run/token}
                    proxy_url: http://proxy:3128
                    follow_redirects: false
                    tls_config: {ca_file: /ca, cert_file: /c, key_file: /k, server_name: s, insecure_skip_verify: true}
                    http_headers: {X-A: {values: [one, two], files: [/three]}}
                - url: https://h/
                  headers: {X-B: four}
                  bearer_token: abc
                  signature: {secret_file: /run/key, header: X-Sig, timestamp_header: X-Time}
              route:
                receiver: am
                group_by: [alertname, job]
                group_wait: 0s
                group_interval: 1m30s
                repeat_interval: 1d
                routes:
                - receiver: hooks
                  matchers: ['severity=~"page|ticket"', team!=web]
                  match: {a: b}
                  match_re: {c: d.*}
                  continue: true
                  group_by: [...]
                  routes: [{matchers: 'x=y,z!~"q"', repeat_interval: 2h}]
              inhibit_rules:
              - source_matchers: [severity=critical]
                target_match: {severity: warning}
                target_match_re: {a: b|c}
                equal: [instance, job]
              silences:
              - {matchers: [alertname=RedisRestarted], comment: it is a test server}
              - matchers: ['severity=~"info|warning"', team=web]
                starts_at: 2026-12-24T18:00:00Z
                ends_at: 2026-12-27T06:00:00+01:00
                created_by: ops
              heartbeats: [{receiver: hooks, interval: 30s, labels: {host: h1}, annotations: {note: still here}}]
            """
        let found = try #require(try read(text))
        let receivers = found.switchboard.receivers
        #expect(receivers[0].alertmanagers[0].urls == ["http://a:9093", "https://b/am"])
        #expect(receivers[0].alertmanagers[0].timeout == .seconds(5))
        #expect(receivers[0].alertmanagers[0].http.authorization == .basic(user: .text("u"), password: .file("/p")))
        let first = receivers[1].webhooks[0]
        #expect(
            first.url == .file("/run/url") && !first.sendsResolved && first.maxAlerts == 5
                && first.timeout == .seconds(3))
        #expect(first.http.authorization == .header(scheme: "Token", credentials: .file("/run/token")))
        #expect(first.http.proxy == "http://proxy:3128" && !first.http.followsRedirects)
        #expect(first.http.tls.authorityFile == "/ca" && first.http.tls.certificateFile == "/c")
        #expect(first.http.tls.keyFile == "/k" && first.http.tls.serverName == "s" && first.http.tls.isUnverified)
        #expect(first.http.headers.map(\.value) == [.text("one"), .text("two"), .file("/three")])
        let second = receivers[1].webhooks[1]
        #expect(second.http.headers.map(\.name) == ["X-B"])
        #expect(second.http.authorization == .header(scheme: "Bearer", credentials: .text("abc")))
        #expect(
            second.signature == SignatureSettings(secret: .file("/run/key"), header: "X-Sig", timestampHeader: "X-Time")
        )
        let route = found.switchboard.route
        #expect(
            route.groupInterval == .seconds(90) && route.repeatInterval == .seconds(86400) && route.groupWait == .zero)
        let child = route.routes[0]
        #expect(child.matchers.text == #"{a="b",c=~"^(?:d.*)$",severity=~"page|ticket",team!="web"}"#)
        #expect(child.continues && child.grouping == .byAllLabels && child.groupInterval == .seconds(90))
        let grandchild = child.routes[0]
        #expect(grandchild.receiver == "hooks" && grandchild.matchers.text == #"{x="y",z!~"q"}"#)
        #expect(grandchild.repeatInterval == .seconds(7200) && grandchild.grouping == .byAllLabels)
        let rule = found.switchboard.inhibitRules[0]
        #expect(rule.source.text == #"{severity="critical"}"# && rule.equal == ["instance", "job"])
        #expect(rule.target.text == #"{severity="warning",a=~"b|c"}"#)
        let silences = found.switchboard.silences
        #expect(silences[0].matchers.text == #"{alertname="RedisRestarted"}"# && silences[0].state(at: .now) == .active)
        #expect(silences[0].comment == "it is a test server" && silences[0].createdBy == "configuration")
        #expect(silences[1].startsAt.description == "2026-12-24T18:00:00Z" && silences[1].createdBy == "ops")
        #expect((silences[1].endsAt - silences[1].startsAt) == .seconds(59 * 3600))
        #expect(UUID.isValid(silences[0].id) && silences[0].id != silences[1].id)
        #expect(try read(text)?.switchboard.silences == silences, "the same ids after a reload")
        #expect(found.heartbeats[0].interval == .seconds(30))
        #expect(found.heartbeats[0].labels == Labels(["alertname": "Watchdog", "host": "h1"]))
    }

    @Test(arguments: [
        ("receivers: [{webhook: {url: 'http://h'}}]", "out.yml:1: alerting.receivers[0]: name is missing"),
        (
            "receivers: [{name: a, webhok: {url: 'http://h'}}]",
            "out.yml:1: alerting.receivers[0].webhok: unknown setting, did you mean webhook?"
        ),
        (
            "receivers: [{name: a, webhook: {}}]",
            "out.yml:1: alerting.receivers[0].webhook: one of url or url_file must be set"
        ),
        (
            "receivers: [{name: a, webhook: {url: 'ftp://secret'}}]",
            "out.yml:1: alerting.receivers[0].webhook.url: is not a URL such as https://host/path"
        ),
        (
            "receivers: [{name: a, webhook: {url: 'http://h', url_file: /x}}]",
            "at most one of url and url_file must be set"
        ),
        (
            "receivers: [{name: a, webhook: {url: 'http://h', timeout: soon}}]",
            "\"soon\" is not a duration such as 30s or 1h30m"
        ),
        (
            "receivers: [{name: a, webhook: {url: 'http://h', bearer_token: x, basic_auth: {username: u}}}]",
            "at most one of basic_auth, authorization and bearer_token must be set"
        ),
        (
            "receivers: [{name: a, webhook: {url: 'http://h', http_config: {tls_config: {cert_file: x}}}}]",
            "cert_file and key_file go together"
        ),
        ("receivers: [{name: a}, {name: a}]", "notification config name \"a\" is not unique"),
        ("receivers: [{name: a}, {name: b}]", "alerting.route: is missing, and there are several receivers"),
        ("receivers: [{name: a, alertmanager: {}}]", "urls is missing"),
        ("receivers: {}", "must be a list, but is a mapping"),
        ("route: {receiver: a}", "alerting.route: there are no receivers"),
        ("{receivers: [{name: a}], route: {receiver: b}}", "undefined receiver \"b\" used in route"),
        ("{receivers: [{name: a}], route: {group_wait: 1s}}", "root route must specify a default receiver"),
        ("{receivers: [{name: a}], route: {receiver: a, matchers: [x=y]}}", "the root route must match every alert"),
        ("{receivers: [{name: a}], route: {receiver: a, group_interval: 0s}}", "must be longer than 0"),
        ("{receivers: [{name: a}], route: {receiver: a, group_by: [x, x]}}", "duplicated label \"x\" in group_by"),
        ("{receivers: [{name: a}], route: {receiver: a, group_by: [..., x]}}", "cannot have wildcard group_by"),
        ("{receivers: [{name: a}], route: {receiver: a, group_by: [x-y]}}", "invalid label name \"x-y\""),
        (
            "{receivers: [{name: a}], route: {receiver: a, routes: [{matchers: ['x']}]}}",
            "out.yml:1: alerting.route.routes[0].matchers: bad matcher format: x"
        ),
        ("{receivers: [{name: a}], route: {receiver: a, routes: [{match_re: {x: '('}}]}}", "missing closing )"),
        ("{receivers: [{name: a}], inhibit_rules: [{source: x}]}", "alerting.inhibit_rules[0].source: unknown setting"),
        (
            "{receivers: [{name: a}], silences: [{comment: x}]}",
            "alerting.silences[0]: silence invalid: at least one matcher"
        ),
        ("{receivers: [{name: a}], silences: [{matchers: ['a=~.*']}]}", "must not match the empty string"),
        ("{receivers: [{name: a}], silences: [{matchers: [a=b], ends_at: soon}]}", "is not a time such as 2026-"),
        ("{receivers: [{name: a}], silences: [{matchers: [a=b], until: x}]}", "alerting.silences[0].until: unknown"),
        ("{receivers: [{name: a}], heartbeats: [{receiver: a}]}", "no receiver \"a\" with a webhook"),
    ]) func aMistakeStopsTheStartAndSaysWhere(_ text: String, _ message: String) {
        let text = "alerting: " + (text.hasPrefix("{") ? text : "{\(text)}")
        do {
            _ = try read(text)
            Issue.record("\(text) was accepted")
        } catch {
            #expect("\(error)".contains(message), "\(error)")
        }
    }
}
