/// A setting that stops the start: where it stands, what it is called and what is wrong with it, in one line.
public struct SettingsError: Error, CustomStringConvertible {
    /// `outrigger.yml:12`, `environment` or `command line`.
    public let place: String
    public let key: String
    public let problem: String

    public init(place: String, key: String, problem: String) {
        self.place = place
        self.key = key
        self.problem = problem
    }

    public var description: String {
        key.isEmpty ? "\(place): \(problem)" : "\(place): \(key): \(problem)"
    }
}
