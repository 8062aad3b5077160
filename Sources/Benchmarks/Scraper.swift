import CLinux
import Glibc
import Network
import Runtime

/// Asks for `/metrics` as Prometheus does: its headers, gzip, one connection kept open.
final class Scraper {
    private let port: UInt16
    private var connection: Int32 = -1
    private var buffer = [UInt8](repeating: 0, count: 1 << 20)

    struct Failure: Error, CustomStringConvertible { let description: String }

    init(port: UInt16) { self.port = port }

    deinit { if connection >= 0 { close(connection) } }

    /// - Parameter path: with its query, percent-encoded.
    /// - Returns: how long it took until the last byte, and how many bytes came.
    func scrape(_ path: String = "/metrics") throws -> (took: Duration, bytes: Int) {
        if connection < 0 { try connect() }
        let request = Array(
            """
            GET \(path) HTTP/1.1\r
            Host: 127.0.0.1:\(port)\r
            User-Agent: Prometheus/2.42.0\r
            Accept: application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1\r
            Accept-Encoding: gzip\r
            X-Prometheus-Scrape-Timeout-Seconds: 10\r
            \r

            """.utf8)
        let start = ContinuousClock.now
        guard send(connection, request, request.count, Int32(MSG_NOSIGNAL)) == request.count else {
            throw broken("send")
        }
        let bytes = try readAnswer()
        return (ContinuousClock.now - start, bytes)
    }

    /// Reads one answer, whose end a length or the last chunk tells.
    private func readAnswer() throws -> Int {
        var length = 0
        var whole: Int?
        var isChunked = false
        while true {
            if length == buffer.count { buffer.append(contentsOf: repeatElement(0, count: buffer.count)) }
            let room = buffer.count - length
            let got = buffer.withUnsafeMutableBytes { recv(connection, $0.baseAddress! + length, room, 0) }
            guard got > 0 else { throw broken("receive") }
            length += got
            if whole == nil, !isChunked, let headEnd = endOfHead(length) {
                let head = String(decoding: buffer[..<headEnd], as: UTF8.self).lowercased()
                guard head.hasPrefix("http/1.1 200") else { throw Failure(description: String(head.prefix(60))) }
                if let value = head.split(separator: "\r\n").first(where: { $0.hasPrefix("content-length: ") }) {
                    whole = headEnd + (Int(value.dropFirst("content-length: ".count)) ?? 0)
                } else {
                    isChunked = true
                }
            }
            if let whole, length >= whole { return length }
            if isChunked, length >= 7, Array(buffer[(length - 7)..<length]) == Array("\r\n0\r\n\r\n".utf8) {
                return length
            }
        }
    }

    private func endOfHead(_ length: Int) -> Int? {
        guard length >= 4 else { return nil }
        for index in 0...(length - 4)
        where buffer[index] == 13 && buffer[index + 1] == 10 && buffer[index + 2] == 13 && buffer[index + 3] == 10 {
            return index + 4
        }
        return nil
    }

    private func connect() throws {
        connection = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC, 0)
        let result = LoopbackAddress.with(port: port) { Glibc.connect(connection, $0, $1) }
        guard result == 0 else { throw broken("connect") }
        var yes: Int32 = 1
        setsockopt(connection, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, socklen_t(MemoryLayout<Int32>.size))
    }

    private func broken(_ operation: String) -> Failure {
        defer {
            close(connection)
            connection = -1
        }
        return Failure(description: "\(operation) 127.0.0.1:\(port): \(String(cString: strerror(errno)))")
    }
}
