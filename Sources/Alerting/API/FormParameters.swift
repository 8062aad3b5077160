import Network
import Runtime

/// What a client sent as `name=value` pairs, in the query of the URL and in a form's body; the body comes first.
struct FormParameters {
    private let pairs: [(name: String, value: String)]

    /// Longest form in bytes.
    static let limit = 10 << 20

    /// Nil if the body is said to be a form, but is none.
    init?(_ request: HTTPRequest) {
        let type = request.header("content-type")?.prefix { $0 != ";" }.lowercased() ?? ""
        var pairs: [(name: String, value: String)] = []
        if request.method == "POST", type == "application/x-www-form-urlencoded", !request.body.isEmpty {
            guard request.body.count <= FormParameters.limit, let form = FormParameters.decode(request.body) else {
                return nil
            }
            pairs = form
        }
        self.pairs = pairs + request.query
    }

    /// The first value of that name, or nothing.
    subscript(name: String) -> String { pairs.first { $0.name == name }?.value ?? "" }

    func all(_ name: String) -> [String] { pairs.filter { $0.name == name }.map(\.value) }

    private static func decode(_ body: [UInt8]) -> [(name: String, value: String)]? {
        var pairs: [(name: String, value: String)] = []
        for part in body.split(separator: UInt8(ascii: "&")) {
            let end = part.firstIndex(of: UInt8(ascii: "=")) ?? part.endIndex
            guard let name = unescaped(part[..<end]), let value = unescaped(part[end...].dropFirst()) else {
                return nil
            }
            pairs.append((name, value))
        }
        return pairs
    }

    /// `+` is a space, `%2B` a plus.
    private static func unescaped(_ text: ArraySlice<UInt8>) -> String? {
        var bytes: [UInt8] = []
        var at = text.startIndex
        while at < text.endIndex {
            switch text[at] {
            case UInt8(ascii: "+"): bytes.append(UInt8(ascii: " "))
            case UInt8(ascii: "%"):
                guard at + 2 < text.endIndex, let high = digit(text[at + 1]), let low = digit(text[at + 2]) else {
                    return nil
                }
                bytes.append(high << 4 | low)
                at += 2
            case let byte: bytes.append(byte)
            }
            at += 1
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func digit(_ byte: UInt8) -> UInt8? { Character(Unicode.Scalar(byte)).hexDigitValue.map(UInt8.init) }
}
