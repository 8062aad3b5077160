import CYAML

extension YAML {
    /// How much a document may hold before it is refused: anchors make a few bytes into billions of nodes.
    public struct Limits: Sendable {
        public var nodes: Int
        public var depth: Int

        public init(nodes: Int = 1_000_000, depth: Int = 100) {
            self.nodes = nodes
            self.depth = depth
        }
    }

    /// The first document of a stream, or nil when there is none. libyaml reads it; anchors, aliases and merge keys
    /// (`<<`) are resolved. A key that stands twice in one mapping is an error, as it is to Go's yaml.v3.
    public static func parse(_ bytes: [UInt8], limits: Limits = Limits()) throws(YAMLError) -> YAML? {
        let parser = try EventParser(bytes, limits: limits)
        return try parser.document()
    }

    public static func parse(_ text: String, limits: Limits = Limits()) throws(YAMLError) -> YAML? {
        try parse(Array(text.utf8), limits: limits)
    }
}

/// Turns libyaml's events into nodes. Owns the parser and the bytes it reads.
private final class EventParser {
    private let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
    private let input: UnsafeMutableBufferPointer<UInt8>
    private let limits: YAML.Limits
    private var anchors: [String: YAML] = [:]
    private var nodeCount = 0

    init(_ bytes: [UInt8], limits: YAML.Limits) throws(YAMLError) {
        self.limits = limits
        input = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: max(1, bytes.count))
        _ = input.initialize(from: bytes)
        guard yaml_parser_initialize(parser) == 1 else { throw YAMLError(line: 0, problem: "out of memory") }
        yaml_parser_set_input_string(parser, input.baseAddress, bytes.count)
    }

    deinit {
        yaml_parser_delete(parser)
        parser.deallocate()
        input.deallocate()
    }

    /// An event and the text it carried; libyaml's own copy is freed at once.
    private struct Event {
        let type: yaml_event_type_t
        let line: Int
        var anchor: String?
        var text = ""
        var isPlain = false
    }

    func document() throws(YAMLError) -> YAML? {
        while true {
            let event = try next()
            switch event.type {
            case YAML_STREAM_END_EVENT, YAML_NO_EVENT: return nil
            case YAML_STREAM_START_EVENT, YAML_DOCUMENT_START_EVENT: continue
            default:
                let root = try node(event, depth: 0)
                try glanceBehind()
                return root
            }
        }
    }

    /// yaml.v3 reads two tokens ahead, so that it refuses a stream whose second document begins with what are no tokens.
    private func glanceBehind() throws(YAMLError) {
        do throws(YAMLError) {
            var event = try next()
            while event.type == YAML_DOCUMENT_END_EVENT { event = try next() }
            guard event.type == YAML_DOCUMENT_START_EVENT, try next().type == YAML_SCALAR_EVENT else { return }
            _ = try next()
        } catch  where parser.pointee.error == YAML_SCANNER_ERROR {
            throw error
        } catch {
            // Tokens that make no document, which nobody reads.
        }
    }

    private func next() throws(YAMLError) -> Event {
        var raw = yaml_event_t()
        guard yaml_parser_parse(parser, &raw) == 1 else { throw failure() }
        defer { yaml_event_delete(&raw) }
        var event = Event(type: raw.type, line: Int(raw.start_mark.line) + 1)
        switch raw.type {
        case YAML_SCALAR_EVENT:
            let scalar = raw.data.scalar
            event.anchor = text(scalar.anchor)
            event.text = String(decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
            event.isPlain = scalar.style == YAML_PLAIN_SCALAR_STYLE
        case YAML_ALIAS_EVENT: event.anchor = text(raw.data.alias.anchor)
        case YAML_SEQUENCE_START_EVENT: event.anchor = text(raw.data.sequence_start.anchor)
        case YAML_MAPPING_START_EVENT: event.anchor = text(raw.data.mapping_start.anchor)
        default: break
        }
        return event
    }

    private func text(_ pointer: UnsafeMutablePointer<yaml_char_t>?) -> String? {
        pointer.map { String(decodingCString: $0, as: UTF8.self) }
    }

    private func failure() -> YAMLError {
        let problem = parser.pointee.problem.map { String(cString: $0) } ?? "not YAML"
        let line = Int(parser.pointee.problem_mark.line) + 1
        return YAMLError(
            line: line, problem: beginsWithTab(line: line) ? "a tab: YAML indents by spaces only" : problem)
    }

    /// What libyaml calls a character that cannot start any token, or does not mention at all.
    private func beginsWithTab(line wanted: Int) -> Bool {
        var (line, place) = (1, 0)
        while line < wanted, place < input.count {
            if input[place] == UInt8(ascii: "\n") { line += 1 }
            place += 1
        }
        while place < input.count, input[place] == UInt8(ascii: " ") { place += 1 }
        return place < input.count && input[place] == UInt8(ascii: "\t")
    }

    private func node(_ event: Event, depth: Int) throws(YAMLError) -> YAML {
        try count(1, at: event.line)
        guard depth <= limits.depth else {
            throw YAMLError(line: event.line, problem: "nested deeper than \(limits.depth)")
        }
        let node: YAML
        switch event.type {
        case YAML_ALIAS_EVENT:
            guard let anchor = event.anchor, let known = anchors[anchor] else {
                throw YAMLError(line: event.line, problem: "unknown anchor '\(event.anchor ?? "")' referenced")
            }
            // A copy costs nothing here, but whoever walks the tree walks it again.
            let (nodes, height) = extent(of: known)
            try count(nodes, at: event.line)
            // Aliases within aliases would else be as deep as the document is long, and readers use the stack.
            guard depth + height <= limits.depth else {
                throw YAMLError(line: event.line, problem: "nested deeper than \(limits.depth)")
            }
            return known
        case YAML_SCALAR_EVENT: node = YAML(.scalar(event.text, isPlain: event.isPlain), line: event.line)
        case YAML_SEQUENCE_START_EVENT: node = YAML(.sequence(try items(depth: depth)), line: event.line)
        case YAML_MAPPING_START_EVENT: node = YAML(.mapping(try entries(depth: depth)), line: event.line)
        default: throw YAMLError(line: event.line, problem: "unexpected end of the document")
        }
        if let anchor = event.anchor { anchors[anchor] = node }
        return node
    }

    private func count(_ nodes: Int, at line: Int) throws(YAMLError) {
        nodeCount += nodes
        guard nodeCount <= limits.nodes else { throw YAMLError(line: line, problem: "more than \(limits.nodes) nodes") }
    }

    /// Nodes below and with this one, as far as the limit: beyond it the number no longer matters; and levels below it.
    private func extent(of node: YAML) -> (nodes: Int, height: Int) {
        var (total, height) = (0, 0)
        var open = [(node, 0)]
        while let (next, level) = open.popLast(), total <= limits.nodes {
            total += 1
            height = max(height, level)
            switch next.content {
            case .scalar: break
            case .sequence(let items): open += items.map { ($0, level + 1) }
            case .mapping(let entries): open += entries.map { ($0.value, level + 1) }
            }
        }
        return (total, height)
    }

    private func items(depth: Int) throws(YAMLError) -> [YAML] {
        var items: [YAML] = []
        while true {
            let event = try next()
            if event.type == YAML_SEQUENCE_END_EVENT { return items }
            items.append(try node(event, depth: depth + 1))
        }
    }

    private func entries(depth: Int) throws(YAMLError) -> [YAML.Entry] {
        var entries: [YAML.Entry] = []
        var merged: [YAML.Entry] = []
        var lines: [String: Int] = [:]
        while true {
            let event = try next()
            if event.type == YAML_MAPPING_END_EVENT { break }
            let keyNode = try node(event, depth: depth + 1)
            guard let key = keyNode.text else {
                throw YAMLError(line: event.line, problem: "\(keyNode.kindText) cannot be a key")
            }
            let value = try node(try next(), depth: depth + 1)
            if key == "<<", event.isPlain {
                for source in value.items ?? [value] {
                    guard let more = source.entries else {
                        throw YAMLError(
                            line: event.line, problem: "map merge requires map or sequence of maps as the value")
                    }
                    merged += more
                }
                continue
            }
            if let first = lines.updateValue(event.line, forKey: key) {
                throw YAMLError(line: event.line, problem: "mapping key \"\(key)\" already defined at line \(first)")
            }
            entries.append(YAML.Entry(key: key, line: event.line, value: value))
        }
        for entry in merged where lines.updateValue(entry.line, forKey: entry.key) == nil { entries.append(entry) }
        return entries
    }
}
