import Runtime

/// Acknowledged writes that Redis refused for good, kept for people: `redis-cli --pipe < rejected.resp` sends them once
/// the reason is gone. Each command follows the `SELECT` of its database.
struct RejectedWrites: Sendable {
    let path: String
    /// A file that has become so long is not added to: nobody looks at it.
    let limitBytes: Int

    /// When this returns, they are on the disk.
    ///
    /// - Returns: whether there was room.
    func keep(_ writes: [PendingWrite]) throws(FileError) -> Bool {
        let file = try AppendFile(path)
        var bytes: [UInt8] = []
        for write in writes {
            bytes.append(arrayOf: 2)
            bytes.append(bulk: "SELECT")
            bytes.append(bulk: "\(write.key.database)")
            bytes.append(contentsOf: write.timelessCommand)
        }
        guard file.sizeBytes + bytes.count <= limitBytes else { return false }
        try file.append(bytes)
        return true
    }
}
