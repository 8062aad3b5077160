import Runtime

/// Functions that turn one text into another.
extension TemplateFunction {
    static let texts: [TemplateFunction] = [
        TemplateFunction("match", strings: 2) { texts throws(TemplateFailure) in
            .bool(try pattern(texts[0]).firstMatch(in: texts[1]) != nil)
        },
        TemplateFunction("reReplaceAll", strings: 3) { texts throws(TemplateFailure) in
            .string(try pattern(texts[0]).replacingAll(in: texts[2], with: texts[1]))
        },
        TemplateFunction("safeHtml", strings: 1) { .html($0[0]) },
        TemplateFunction("title", strings: 1) { .string(titled($0[0])) },
        TemplateFunction("toUpper", strings: 1) { .string(mapped($0[0], \.uppercaseMapping)) },
        TemplateFunction("toLower", strings: 1) { .string(mapped($0[0], \.lowercaseMapping)) },
        TemplateFunction("stripPort", strings: 1) { .string(HostAndPort($0[0])?.host ?? $0[0]) },
        TemplateFunction("stripDomain", strings: 1) { .string(strippedDomain($0[0])) },
        TemplateFunction("urlQueryEscape", strings: 1) { .string(Escape.query($0[0])) },
    ]

    private static func pattern(_ text: String) throws(TemplateFailure) -> Pattern {
        do {
            return try Pattern(text)
        } catch {
            throw TemplateFailure("error parsing regexp: \(error)")
        }
    }

    /// Character by character where one stands for one, as Go does: `ß` stays.
    private static func mapped(_ text: String, _ mapping: KeyPath<Unicode.Scalar.Properties, String>) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars { result.append(single(scalar, scalar.properties[keyPath: mapping])) }
        return String(result)
    }

    private static func single(_ scalar: Unicode.Scalar, _ mapped: String) -> Unicode.Scalar {
        guard let first = mapped.unicodeScalars.first, mapped.unicodeScalars.count == 1 else { return scalar }
        return first
    }

    /// The first letter of each word in title case. Letters, digits and `_` make words; so `don't` becomes `Don'T`, as
    /// it does in Prometheus.
    private static func titled(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        var isInWord = false
        for scalar in text.unicodeScalars {
            result.append(isInWord ? scalar : single(scalar, scalar.properties.titlecaseMapping))
            isInWord =
                scalar == "_" || scalar.properties.isAlphabetic || scalar.properties.numericType == .decimal
                || (!scalar.isASCII && !scalar.properties.isWhitespace)
        }
        return String(result)
    }

    /// `db1.example.com:5432` without its domain: `db1:5432`. Addresses stay.
    private static func strippedDomain(_ text: String) -> String {
        let parts = HostAndPort(text)
        let host = parts?.host ?? text
        guard !HostAndPort.isAddress(host) else { return text }
        let name = String(host.prefix { $0 != "." })
        guard let port = parts?.port, !port.isEmpty else { return name }
        return name.contains(":") ? "[\(name)]:\(port)" : "\(name):\(port)"
    }
}

/// `host:port` or `[host]:port`; anything else is neither.
private struct HostAndPort {
    let host: String
    let port: String

    init?(_ text: String) {
        guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")) else { return nil }
        port = String(text[text.index(after: colon)...])
        let before = text[..<colon]
        if before.hasPrefix("[") {
            guard before.hasSuffix("]") else { return nil }
            host = String(before.dropFirst().dropLast())
        } else {
            guard !before.contains(":") else { return nil }
            host = String(before)
        }
        guard !host.contains(where: { "[]".contains($0) }), !port.contains(where: { "[]".contains($0) }) else {
            return nil
        }
    }

    static func isAddress(_ host: String) -> Bool {
        host.contains(":") ? isIPv6(host) : isIPv4(host[...])
    }

    private static func isIPv4(_ text: Substring) -> Bool {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4
            && parts.allSatisfy { part in
                (1...3).contains(part.utf8.count) && part.utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 }
                    && (part.utf8.count == 1 || !part.hasPrefix("0")) && (Int(part) ?? 256) < 256
            }
    }

    /// Eight groups of up to four digits, of which one run may be left out with `::`; the last two may be an IPv4.
    private static func isIPv6(_ text: String) -> Bool {
        let halves = text.split(separator: "::", omittingEmptySubsequences: false)
        guard halves.count <= 2 else { return false }
        var count = 0
        for (index, half) in halves.enumerated() where !half.isEmpty {
            let groups = half.split(separator: ":", omittingEmptySubsequences: false)
            for (place, group) in groups.enumerated() {
                let isLast = index == halves.count - 1 && place == groups.count - 1
                if isLast, group.contains(".") {
                    guard isIPv4(group) else { return false }
                    count += 2
                    continue
                }
                guard (1...4).contains(group.utf8.count), group.allSatisfy(\.isHexDigit) else { return false }
                count += 1
            }
        }
        return halves.count == 2 ? count < 8 : count == 8
    }
}

/// Text made safe for where it goes, as Go's `text/template` and `net/url` do it.
enum Escape {
    static func html(_ text: String) -> String {
        replacing(text) { scalar in
            switch scalar {
            case "\0": "\u{fffd}"
            case "\"": "&#34;"
            case "'": "&#39;"
            case "&": "&amp;"
            case "<": "&lt;"
            case ">": "&gt;"
            default: nil
            }
        }
    }

    static func javaScript(_ text: String) -> String {
        replacing(text) { scalar in
            switch scalar {
            case "\\", "'", "\"": return "\\\(scalar)"
            case "<", ">", "&", "=": return code(scalar)
            case _ where scalar.value < 0x20: return code(scalar)
            case _ where scalar.value >= 0x7f && !GoQuote.isPrintable(scalar): return code(scalar)
            default: return nil
            }
        }
    }

    /// For a value in a URL's query: letters, digits and `-_.~` stay, a blank becomes `+`.
    static func query(_ text: String) -> String {
        var result: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                result.append(byte)
            case UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "~"): result.append(byte)
            case UInt8(ascii: " "): result.append(UInt8(ascii: "+"))
            default:
                result.append(contentsOf: (byte < 0x10 ? "%0" : "%").utf8)
                result.append(contentsOf: String(byte, radix: 16, uppercase: true).utf8)
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    private static func replacing(_ text: String, _ escape: (Unicode.Scalar) -> String?) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            if let escaped = escape(scalar) { result += escaped } else { result.unicodeScalars.append(scalar) }
        }
        return result
    }

    /// `\u` and at least four digits.
    private static func code(_ scalar: Unicode.Scalar) -> String {
        let digits = String(scalar.value, radix: 16, uppercase: true)
        return "\\u" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }
}
