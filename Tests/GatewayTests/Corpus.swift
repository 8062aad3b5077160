import Testing

/// Requests that two readers might take for different ones (RFC 9112, and what was found in proxies and servers since
/// 2005), and their harmless neighbours.
enum Corpus {
    struct Example: Sendable, CustomTestStringConvertible {
        let text: String
        /// How many requests it is; of what is refused, 0.
        var requests = 0
        var testDescription: String { text.debugDescription }
    }

    private static let host = "Host: x\r\n"

    private static func get(_ line: String, _ fields: String = "") -> Example {
        Example(text: "\(line)\r\n\(host)\(fields)\r\n")
    }

    private static func post(_ fields: String, _ body: String) -> Example {
        Example(text: "POST / HTTP/1.1\r\n\(host)\(fields)\r\n\(body)")
    }

    private static func chunked(_ body: String) -> Example { post("Transfer-Encoding: chunked\r\n", body) }

    private static let hidden = "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"

    /// To be answered 4xx or 5xx, with nothing of it going on.
    static let refused: [Example] = [
        // Both framings, and codings that are not exactly one.
        post("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\nG"),
        post("Transfer-Encoding: chunked\r\nContent-Length: 6\r\n", "0\r\n\r\nG"),
        post("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: identity, chunked\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: identity\r\n", ""),
        post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: chunkedx\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: chunked;q=1\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: 'chunked'\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: ,chunked\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: chunked,\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding:\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: \u{b}chunked\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: chunked\u{c}\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: chun\u{0}ked\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding\t: chunked\r\n", "0\r\n\r\n"),
        post(" Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        post("X: y\r\n Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\n\tx\r\n", "0\r\n\r\n"),
        post("Transfer\u{0}-Encoding: chunked\r\n", "0\r\n\r\n"),
        post("\u{0}Transfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        post("X: y\rTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        post("X: y\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
        post("Transfer-Encoding: chunked\n", "0\r\n\r\n"),
        Example(text: "POST / HTTP/1.0\r\n\(host)Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        Example(
            text: "POST / HTTP/1.0\r\n\(host)Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        // Lengths.
        post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"),
        post("Content-Length: 3\r\nContent-Length: 4\r\n", "abcd"),
        post("Content-Length: 3, 3\r\n", "abc"), post("Content-Length: 3,4\r\n", "abcd"),
        post("Content-Length: +3\r\n", "abc"), post("Content-Length: -3\r\n", "abc"),
        post("Content-Length: 0x3\r\n", "abc"), post("Content-Length: 3.0\r\n", "abc"),
        post("Content-Length: 3 \u{0}\r\n", "abc"), post("Content-Length: 3 4\r\n", "abc"),
        post("Content-Length: 3_0\r\n", "abc"), post("Content-Length: 1e1\r\n", "abc"),
        post("Content-Length: \"3\"\r\n", "abc"), post("Content-Length:\r\n", ""), post("Content-Length: a\r\n", ""),
        post("Content-Length: 99999999999999999999\r\n", "abc"),
        post("Content-Length: 18446744073709551619\r\n", "abc"),
        post("Content-Length : 3\r\n", "abc"), post("Content-Length\u{b}: 3\r\n", "abc"),
        post("Content-Length: 3\r\n 4\r\n", "abc"), post("Content-Length: \u{b2}\r\n", "ab"),
        // Chunks.
        chunked("+2\r\nab\r\n0\r\n\r\n"), chunked("-2\r\nab\r\n0\r\n\r\n"), chunked("0x2\r\nab\r\n0\r\n\r\n"),
        chunked(" 2\r\nab\r\n0\r\n\r\n"), chunked("2 \r\nab\r\n0\r\n\r\n"), chunked("2\t\r\nab\r\n0\r\n\r\n"),
        chunked("2 ;a\r\nab\r\n0\r\n\r\n"), chunked("\r\n2\r\nab\r\n0\r\n\r\n"), chunked("g\r\nab\r\n0\r\n\r\n"),
        chunked("2_0\r\nab\r\n0\r\n\r\n"), chunked("2\nab\r\n0\r\n\r\n"), chunked("2\r\nab\n0\r\n\r\n"),
        chunked("2\r\nabXX0\r\n\r\n"), chunked("2\r\nabc\r\n0\r\n\r\n"), chunked("2\r\nab\rX0\r\n\r\n"),
        chunked("2\rXab\r\n0\r\n\r\n"), chunked("2;a\nab\r\n0\r\n\r\n"), chunked("2;a\rb\r\nab\r\n0\r\n\r\n"),
        chunked("2;a\u{0}\r\nab\r\n0\r\n\r\n"), chunked("10000000000000002\r\nab\r\n0\r\n\r\n"),
        chunked("FFFFFFFFFFFFFFFF\r\nab\r\n0\r\n\r\n"), chunked("2,3\r\nab\r\n0\r\n\r\n"),
        chunked(";a\r\nab\r\n0\r\n\r\n"),
        chunked("0\n\r\n"), chunked("0\r\n\n"), chunked("0\r\nX: y\n\r\n"), chunked("0\r\nX\r\n\r\n"),
        chunked("0\r\nX : y\r\n\r\n"), chunked("0\r\n X: y\r\n\r\n"), chunked("0\r\nContent-Length: 5\r\n\r\n"),
        chunked("0\r\nTransfer-Encoding: chunked\r\n\r\n"), chunked("0\r\nHost: y\r\n\r\n"),
        chunked("0\r\n" + hidden),
        // Hosts.
        Example(text: "GET / HTTP/1.1\r\n\r\n"), Example(text: "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        Example(text: "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
        Example(text: "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
        Example(text: "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), Example(text: "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
        Example(text: "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"), Example(text: "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
        Example(text: "GET / HTTP/1.1\r\nHost: a?b\r\n\r\n"), Example(text: "GET / HTTP/1.1\r\nHost: a#b\r\n\r\n"),
        Example(text: "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"), Example(text: "GET / HTTP/1.1\r\nHost: a:80:81\r\n\r\n"),
        Example(text: "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"), Example(text: "GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
        Example(text: "GET / HTTP/1.1\r\n Host: a\r\n\r\n"), Example(text: "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n"),
        Example(text: "GET http://a@b/ HTTP/1.1\r\nHost: b\r\n\r\n"), Example(text: "GET http://a/ HTTP/1.1\r\n\r\n"),
        // Lines.
        Example(text: "GET / HTTP/1.1\nHost: x\n\n"), Example(text: "GET / HTTP/1.1\r\nHost: x\n\r\n"),
        Example(text: "GET / HTTP/1.1\r\nHost: x\r\n\n"), Example(text: "GET / HTTP/1.1\rHost: x\r\n\r\n"),
        get("GET  / HTTP/1.1"), get("GET / HTTP/1.1 "), get(" GET / HTTP/1.1"), get("GET /  HTTP/1.1"),
        get("GET\t/ HTTP/1.1"), get("GET /\tHTTP/1.1"), get("GET / HTTP/1.1\u{b}"), get("GET /a b HTTP/1.1"),
        get("GET / http/1.1"), get("GET / HTTP/1.2"), get("GET / HTTP/1.10"), get("GET / HTTP/01.1"),
        get("GET / HTTP/2.0"),
        get("GET / HTTP/0.9"), get("GET / HTTP/1"), get("GET / HTTP/1.1\u{0}"), get("GET /"), get("GET"), get(""),
        get("GET HTTP/1.1"), get("G(T / HTTP/1.1"), get("G\u{0}T / HTTP/1.1"), get("GET /\u{0} HTTP/1.1"),
        get("GET /\u{7f} HTTP/1.1"), get("GET /\u{e9} HTTP/1.1"), get("GET a HTTP/1.1"), get("GET * HTTP/1.1"),
        get("GET ftp://x/ HTTP/1.1"), get("GET /#a HTTP/1.1"), get("GET //x\\y HTTP/1.1\r"),
        Example(text: "\u{feff}GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        // Fields.
        get("GET / HTTP/1.1", "X\r\n"), get("GET / HTTP/1.1", ": y\r\n"), get("GET / HTTP/1.1", "X Y: z\r\n"),
        get("GET / HTTP/1.1", "X\u{b}: y\r\n"), get("GET / HTTP/1.1", "X: \u{0}\r\n"),
        get("GET / HTTP/1.1", "X: a\rb\r\n"),
        get("GET / HTTP/1.1", "X: a\u{7f}\r\n"), get("GET / HTTP/1.1", "X: a\u{1b}\r\n"),
        get("GET / HTTP/1.1", "X@: y\r\n"),
        get("GET / HTTP/1.1", "X\u{e9}: y\r\n"), get("GET / HTTP/1.1", "X: a\r\n b\r\n"),
        get("GET / HTTP/1.1", "\tX: a\r\n"),
        get("GET / HTTP/1.1", "Expect: 200-ok\r\n"),
        get("GET / HTTP/1.1", "Expect: 100-continue\r\nExpect: 100-continue\r\n"),
        post("Expect: 100-continue, x\r\nContent-Length: 1\r\n", "a"),
        Example(text: "TRACE / HTTP/1.1\r\n\(host)Content-Length: 1\r\n\r\na"),
    ]

    static let accepted: [Example] = [
        Example(text: "GET / HTTP/1.1\r\nHost: x\r\n\r\n", requests: 1),
        Example(text: "GET / HTTP/1.1\r\nhOsT:x\t \r\n\r\n", requests: 1),
        Example(text: "GET / HTTP/1.0\r\n\r\n", requests: 1),
        Example(text: "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", requests: 1),
        Example(text: "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", requests: 1),
        Example(text: "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0003\r\n\r\nabc", requests: 1),
        Example(text: "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n", requests: 1),
        Example(
            text:
                "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n00A;x=\"y\"\r\n0123456789\r\n000\r\n\r\n",
            requests: 1),
        Example(text: "GET / HTTP/1.1\r\nHost: x\r\nX:\r\nY: \u{e9}\r\n\r\n\(hidden)", requests: 2),
        Example(text: "GET / HTTP/1.1\r\nHost: x\r\nConnection: close, , x\r\n\r\n", requests: 1),
    ]
}
