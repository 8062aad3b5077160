import CLinux

/// How many descriptors this process may have.
public enum Descriptors {
    /// Where nobody sets a limit: more than one process can use, and few enough for those that count up to it.
    public static let most = 1 << 20

    /// Raises the soft limit to the hard one, as Go's runtime does: the usual 1,024 are for programs that use `select`.
    ///
    /// - Returns: how many there may be now, at most `most`.
    @discardableResult public static func raiseLimit() -> Int { max(0, outrigger_raise_descriptors(most)) }
}
