import Glibc
import Runtime

/// The words of the command line as others see them, in `ps` and in `/proc/<pid>/cmdline`, which everybody may read.
enum ShownArguments {
    /// Overwrites passwords and other secrets there. To be called once the words have been read.
    static func hideSecrets() {
        // Where the kernel keeps them: `arg_start` and `arg_end`, the 48th and 49th of `proc(5)`.
        guard let stat = try? Files.readText("/proc/self/stat"), let end = stat.lastIndex(of: ")") else { return }
        let fields = stat[end...].split(separator: " ").dropFirst()
        guard fields.count > 46, let start = UInt(fields[fields.startIndex + 45]),
            let end = UInt(fields[fields.startIndex + 46]), end > start, end - start < 16 << 20,
            let memory = UnsafeMutableRawPointer(bitPattern: start)
        else { return }
        let shown = UnsafeMutableRawBufferPointer(start: memory, count: Int(end - start))
        for place in secretPlaces(in: Array(shown)) { shown[place] = UInt8(ascii: "*") }
    }

    /// Places of the bytes that belong to secrets.
    ///
    /// - Parameter bytes: words, with a zero behind each.
    static func secretPlaces(in bytes: [UInt8]) -> [Int] {
        var places: [Int] = []
        var start = 0
        var nextIsSecret = false
        while start < bytes.count {
            let end = bytes[start...].firstIndex(of: 0) ?? bytes.count
            let word = bytes[start..<end]
            if word.starts(with: "--".utf8) {
                let equals = word.firstIndex(of: UInt8(ascii: "="))
                let name = String(decoding: word[..<(equals ?? end)], as: UTF8.self).lowercased()
                let isSecret = secretNames.contains { name.contains($0) } && !name.hasSuffix("file")
                nextIsSecret = isSecret && equals == nil
                if let equals { places += isSecret ? Array(equals + 1..<end) : passwords(in: word[(equals + 1)...]) }
            } else {
                places += nextIsSecret ? Array(start..<end) : passwords(in: word)
                nextIsSecret = false
            }
            start = end + 1
        }
        return places
    }

    private static let secretNames = ["password", "passwd", "secret", "token", "credential", "api_key", "api-key"]

    /// Of `scheme://user:password@host` and of `password=…` in a connection string.
    private static func passwords(in word: ArraySlice<UInt8>) -> [Int] {
        var places: [Int] = []
        var place = word.startIndex
        while place < word.endIndex {
            if word[place...].starts(with: "://".utf8) {
                place += 3
                let authority = word[place...].prefix { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: ",") && $0 != 32 }
                if let at = authority.lastIndex(of: UInt8(ascii: "@")),
                    let colon = authority[..<at].firstIndex(of: UInt8(ascii: ":"))
                {
                    places += Array(colon + 1..<at)
                }
                place = authority.endIndex
            } else if word[place...].starts(with: "password=".utf8) {
                place += "password=".utf8.count
                let value = word[place...].prefix { $0 != 32 && $0 != UInt8(ascii: "&") }
                places += Array(value.indices)
                place = value.endIndex
            } else {
                place += 1
            }
        }
        return places
    }
}
