import Runtime

/// How the connection that brings pending writes is named at Redis: the same in every life of a sidecar, and another for
/// every other. It is kept in the folder of the log.
enum WriterName {
    static func read(in folder: String) throws(FileError) -> String {
        let file = StateFile(folder + "/writer")
        if let known = try file.read() { return String(decoding: known, as: UTF8.self) }
        let name = "outrigger-writer-" + String(UInt64.random(in: .min ... .max), radix: 16)
        try file.write(Array(name.utf8))
        return name
    }
}
