import Serving

/// What can be switched off, or rolled out to a share of the users, without a restart.
public enum PostgresFeature: Int, FeatureName {
    /// Server connections that several clients share; without it every new client has one of its own.
    case pooling

    public var label: String { "postgres_\(self)" }
}
