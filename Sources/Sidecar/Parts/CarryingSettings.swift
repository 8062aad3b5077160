import Gateway
import Network
import PostgresProxy
import Runtime

/// The settings of a part that carries load, such as a proxy: how they are read, and what is made from them.
protocol CarryingSettings: Sendable {
    init(_ settings: Settings, beside ground: Configuration.Ground) throws(SettingsError)

    /// What its requests are counted as among the service's operations; empty where it does not run.
    var operationNames: [String] { get }

    /// Reads what the part would read at its start, such as certificates.
    func check() throws

    /// Nil where these settings ask for none. Opens nothing yet.
    func makePart(_ surroundings: Surroundings) throws -> (any Part)?
}

extension CarryingSettings {
    var operationNames: [String] { [] }
    func check() throws {}
}

extension Configuration {
    /// Everything that carries load. A new proxy is one name here, with its settings and its part in files of their own.
    static let carrying: [any CarryingSettings.Type] = [
        RedisProxySettings.self, PostgresProxySettings.self, GatewaySettings.self,
    ]

    /// What the settings of carrying parts may stand on.
    struct Ground {
        let targets: Targets
        let web: Web
        /// Nil to keep nothing over a restart.
        let stateFolder: String?
        /// How often names are looked up while connections stand.
        let resolveInterval: Duration
    }

    /// The settings of one kind of carrying part.
    func settings<Wanted: CarryingSettings>(of kind: Wanted.Type) -> Wanted? {
        for one in carrying { if let one = one as? Wanted { return one } }
        return nil
    }
}
