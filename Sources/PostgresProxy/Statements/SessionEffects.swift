/// What a statement may leave behind in its session, as far as its words tell.
struct SessionEffects: OptionSet {
    let rawValue: UInt16

    /// It says that it changes settings.
    static let settings = SessionEffects(rawValue: 1)
    /// It runs code that nobody has looked at, which may change settings.
    static let unknownCode = SessionEffects(rawValue: 2)
    static let advisoryLock = SessionEffects(rawValue: 4)
    static let temporary = SessionEffects(rawValue: 8)
    static let holdCursor = SessionEffects(rawValue: 16)
    /// A statement prepared by SQL.
    static let sqlPrepare = SessionEffects(rawValue: 32)
    static let listen = SessionEffects(rawValue: 64)
    /// It may give back what kept a client on its server.
    static let releases = SessionEffects(rawValue: 128)
    /// It loads a library, which no reset takes out again.
    static let loadedLibrary = SessionEffects(rawValue: 256)

    /// What only another session's end, or the statement's counterpart, undoes: nobody else may have the server.
    static let pinning: SessionEffects = [.advisoryLock, .temporary, .holdCursor, .sqlPrepare, .listen]
    static let tainting: SessionEffects = [.settings, .unknownCode]
}

/// Why a client keeps its server between transactions.
public enum PinReason: String, CaseIterable, Sendable {
    case advisoryLock = "advisory_lock"
    case temporary = "temporary_table"
    case holdCursor = "hold_cursor"
    case sqlPrepare = "sql_prepare"
    case listen
    /// An unnamed statement that is too long to be kept.
    case longStatement = "long_statement"

    var effect: SessionEffects {
        switch self {
        case .advisoryLock: .advisoryLock
        case .temporary: .temporary
        case .holdCursor: .holdCursor
        case .sqlPrepare: .sqlPrepare
        case .listen: .listen
        case .longStatement: []
        }
    }
}
