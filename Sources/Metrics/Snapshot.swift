/// Everything that was true at one moment, as the sources told it.
public struct Snapshot: Sendable {
    /// Families in the order of their sources; two sources may each bring one of the same name.
    public var families: [Family]

    public init(families: [Family] = []) { self.families = families }
}
