import Glibc
import Runtime

/// A throw-away PostgreSQL: superuser `postgres`, trust authentication on loopback.
public final class LocalPostgres: Sendable {
    public let server: LocalServer
    /// Where `initdb`, `postgres`, `psql` and the other programs of this version are.
    public let programs: String

    public var port: UInt16 { server.port }
    /// A connection string that libpq reads, for the given database and user.
    public func url(database: String = "postgres", user: String = "postgres") -> String {
        "postgresql://\(user)@127.0.0.1:\(port)/\(database)?sslmode=disable"
    }

    private init(server: LocalServer, programs: String) {
        self.server = server
        self.programs = programs
    }

    /// The newest version that Debian's packages installed here.
    public static func installedPrograms() throws(LocalServerError) -> String {
        let root = "/usr/lib/postgresql"
        let versions = ((try? Files.list(root)) ?? []).compactMap { Int($0) }.sorted()
        guard let newest = versions.last else { throw .notInstalled(program: "postgres", package: "postgresql") }
        return "\(root)/\(newest)/bin"
    }

    /// - Parameters:
    ///   - settings: lines of `postgresql.conf`, which win over ours.
    ///   - programs: another version's folder of programs.
    public static func start(settings: [String] = [], programs: String? = nil) async throws -> LocalPostgres {
        let programs = try programs ?? installedPrograms()
        let user = LocalServer.unprivilegedUser
        let folder = try TemporaryFolder("outrigger-postgres", owner: user)
        let data = folder.path + "/data"
        try await LocalServer.run(
            programs + "/initdb",
            [
                "-D", data, "-U", "postgres", "--auth=trust", "--no-sync", "--no-instructions", "-E", "UTF8",
                "--locale=C.UTF-8",
            ],
            folder: folder, user: user)
        let port = FreePort.next()
        let configuration =
            [
                "listen_addresses = '127.0.0.1'", "port = \(port)", "unix_socket_directories = '\(folder.path)'",
                "fsync = off", "shared_buffers = 32MB", "log_min_messages = warning",
            ] + settings
        try Files.write(configuration.joined(separator: "\n") + "\n", to: folder.path + "/settings.conf")
        try await LocalServer.run(
            "sh", ["-c", "cat '\(folder.path)/settings.conf' >> '\(data)/postgresql.conf'"], folder: folder, user: user)
        return try await launch(folder: folder, port: port, programs: programs)
    }

    private static func launch(folder: TemporaryFolder, port: UInt16, programs: String) async throws -> LocalPostgres {
        let user = LocalServer.unprivilegedUser
        let server = try await LocalServer.start(
            programs + "/postgres", ["-D", folder.path + "/data"], folder: folder, port: port, user: user
        ) {
            let probe = try? ChildProcess(programs + "/pg_isready", ["-q", "-h", "127.0.0.1", "-p", "\(port)"])
            return (try? await probe?.exited(within: .seconds(5))) == 0
        }
        return LocalPostgres(server: server, programs: programs)
    }

    /// Starts a second server that follows this one through the replication slot `slot`, which is made for it.
    ///
    /// - Parameter settings: lines of `postgresql.conf`, which win over this server's.
    public func replica(slot: String = "replica", settings: [String] = []) async throws -> LocalPostgres {
        let user = LocalServer.unprivilegedUser
        let folder = try TemporaryFolder("outrigger-replica", owner: user)
        let data = folder.path + "/data"
        try await LocalServer.run(
            programs + "/pg_basebackup",
            ["-d", url(), "-D", data, "-R", "-X", "stream", "-c", "fast", "-C", "-S", slot], folder: folder, user: user)
        let port = FreePort.next()
        let configuration =
            ["port = \(port)", "unix_socket_directories = '\(folder.path)'", "hot_standby = on"] + settings
        try Files.write(configuration.joined(separator: "\n") + "\n", to: folder.path + "/settings.conf")
        try await LocalServer.run(
            "sh", ["-c", "cat '\(folder.path)/settings.conf' >> '\(data)/postgresql.conf'"], folder: folder, user: user)
        return try await LocalPostgres.launch(folder: folder, port: port, programs: programs)
    }

    /// Starts it again on the same port and data after it was stopped or killed.
    public func restarted() async throws -> LocalPostgres {
        try await LocalPostgres.launch(folder: server.folder, port: port, programs: programs)
    }

    /// SIGINT: the server's fast shutdown.
    public func stop() async { await server.process.stop(SIGINT) }

    /// Runs a script with `psql`; throws with its message when a statement fails. Returns unaligned rows.
    @discardableResult
    public func sql(_ script: String, database: String = "postgres", user: String = "postgres") async throws -> String {
        try await LocalServer.run(
            programs + "/psql",
            ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url(database: database, user: user), "-c", script],
            folder: server.folder, user: LocalServer.unprivilegedUser)
    }
}
