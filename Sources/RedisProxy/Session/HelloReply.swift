/// What a Redis says about itself when greeted.
enum HelloReply {
    /// - Parameter id: of the client's connection.
    static func append(_ version: RESPVersion, id: Int, to reply: inout [UInt8]) {
        reply.append(mapOf: 7, version)
        for (key, value) in [("server", "redis"), ("version", "7.0.15")] {
            reply.append(bulk: key)
            reply.append(bulk: value)
        }
        reply.append(bulk: "proto")
        reply.append(integer: version.rawValue)
        reply.append(bulk: "id")
        reply.append(integer: id)
        for (key, value) in [("mode", "standalone"), ("role", "master")] {
            reply.append(bulk: key)
            reply.append(bulk: value)
        }
        reply.append(bulk: "modules")
        reply.append(arrayOf: 0)
    }
}
