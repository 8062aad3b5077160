import Glibc
import Runtime

/// A throw-away PgBouncer in front of a throw-away Postgres: `postgres`, who is its admin, and `somebody` may log in.
public final class LocalPgBouncer: Sendable {
    public let server: LocalServer

    public var port: UInt16 { server.port }
    /// A connection string that libpq reads; the database `pgbouncer` is the admin console.
    public func url(database: String = "pgbouncer", user: String = "postgres") -> String {
        "postgresql://\(user)@127.0.0.1:\(port)/\(database)?sslmode=disable"
    }

    private init(server: LocalServer) { self.server = server }

    /// - Parameters:
    ///   - settings: lines of the section `[pgbouncer]`, which win over ours.
    ///   - program: another version's `pgbouncer`.
    public static func start(
        before postgres: LocalPostgres, settings: [String] = [], program: String = "/usr/sbin/pgbouncer"
    ) async throws -> LocalPgBouncer {
        let folder = try TemporaryFolder("outrigger-pgbouncer", owner: LocalServer.unprivilegedUser)
        let port = FreePort.next()
        let configuration =
            [
                "[databases]", "* = host=127.0.0.1 port=\(postgres.port)", "[pgbouncer]", "listen_addr = 127.0.0.1",
                "listen_port = \(port)", "unix_socket_dir =", "auth_type = trust", "auth_file = users.txt",
                "admin_users = postgres",
                "pool_mode = transaction",
            ] + settings
        try Files.write(configuration.joined(separator: "\n") + "\n", to: folder.path + "/pgbouncer.ini")
        try Files.write("\"postgres\" \"\"\n\"somebody\" \"\"\n", to: folder.path + "/users.txt")
        return try await launch(folder: folder, port: port, program: program)
    }

    private static func launch(folder: TemporaryFolder, port: UInt16, program: String) async throws -> LocalPgBouncer {
        let server = try await LocalServer.start(
            program, [folder.path + "/pgbouncer.ini"], folder: folder, port: port, user: LocalServer.unprivilegedUser
        ) { FreePort.isOpen(port) }
        return LocalPgBouncer(server: server)
    }

    /// Starts it again on the same port after it was stopped or killed.
    public func restarted(program: String = "/usr/sbin/pgbouncer") async throws -> LocalPgBouncer {
        try await LocalPgBouncer.launch(folder: server.folder, port: port, program: program)
    }

    /// SIGINT: its safe shutdown waits for clients, so this is SIGTERM, its immediate one.
    public func stop() async { await server.process.stop(SIGTERM) }
}
