/// Decides which entry has to go. It sees slots, never keys or values, and links them through `previous`, `next` and
/// `policyWord`, which are its own.
///
/// A policy is a generic parameter of the partition that uses it, so that a touch is a direct call.
protocol EvictionPolicy: Sendable {
    init(weighing: SlotTable.Weighing)

    /// A key was asked for and is not here.
    mutating func missed(_ hash: UInt32)
    /// An entry is about to come: the next thing that happens, but for the evictions that make room for it.
    mutating func announced(_ hash: UInt32, weight: Int)
    mutating func inserted(_ id: SlotID, in slots: inout SlotTable)
    mutating func touched(_ id: SlotID, in slots: inout SlotTable)
    /// An entry got another value: its weight changed by `delta`, its deadline perhaps too.
    mutating func changed(_ id: SlotID, by delta: Int, in slots: inout SlotTable)
    /// An entry leaves, for whatever reason; its slot is still filled.
    mutating func removed(_ id: SlotID, in slots: inout SlotTable)
    /// The entry to evict so that another may come. Whoever asks evicts it. Nil when there is none.
    mutating func victim(in slots: inout SlotTable) -> SlotID?
    /// Entries that the cache may hold: room to make for what is remembered of those that are gone.
    mutating func expect(entries: Int)

    /// What it allocated for itself.
    var residentBytes: Int { get }
}

extension EvictionPolicy {
    mutating func missed(_ hash: UInt32) {}
    mutating func announced(_ hash: UInt32, weight: Int) {}
    mutating func expect(entries: Int) {}
    var residentBytes: Int { 0 }
}
