/// What Sentinels and the servers they watch say, read.
enum SentinelReplies {
    /// From `SENTINEL GET-MASTER-ADDR-BY-NAME`; nil where the Sentinel knows no master of that name.
    static func master(_ reply: RESPValue) throws(TopologyFault) -> NodeAddress? {
        if let error = reply.error { throw .refused(error) }
        if reply == .null { return nil }
        guard let fields = reply.elements, fields.count == 2, let address = address(fields[0], fields[1]) else {
            throw .malformed("SENTINEL GET-MASTER-ADDR-BY-NAME tells no address")
        }
        return address
    }

    /// The others that watch the same master, from `SENTINEL SENTINELS`; those without an address are left out.
    static func sentinels(_ reply: RESPValue) throws(TopologyFault) -> [NodeAddress] {
        if let error = reply.error { throw .refused(error) }
        guard let lines = reply.elements else { throw .malformed("SENTINEL SENTINELS is no array") }
        return lines.compactMap { line in
            guard let host = line["ip"], let port = line["port"] else { return nil }
            return address(host, port)
        }
    }

    /// Where the master is now, from a message of the channel `+switch-master`: its name, its old address and its new one.
    ///
    /// - Returns: nil for another master's, and for what is no such message.
    static func switched(_ message: String, master name: String) -> NodeAddress? {
        let words = message.split(separator: " ")
        guard words.count == 5, words[0] == name, let port = UInt16(words[4]), port > 0 else { return nil }
        return NodeAddress(String(words[3]), port)
    }

    /// Whether a server is a master, from `ROLE`.
    static func isMaster(_ reply: RESPValue) throws(TopologyFault) -> Bool {
        if let error = reply.error { throw .refused(error) }
        guard let role = reply.elements?.first?.text else { throw .malformed("ROLE tells no role") }
        return role == "master"
    }

    private static func address(_ host: RESPValue, _ port: RESPValue) -> NodeAddress? {
        guard let host = host.text, !host.isEmpty, let number = port.integer, let port = UInt16(exactly: number),
            port > 0
        else { return nil }
        return NodeAddress(host, port)
    }
}
