import Runtime

/// What a member of an answer looks like, as far as JSON Schema is needed to say it.
indirect enum Schema: Sendable {
    case string, number, integer, boolean
    case word([String])
    case nullable(Schema)
    case array(Schema)
    /// Every member is always there.
    case object(KeyValuePairs<String, Schema>)
    /// Members whose names are not known beforehand.
    case map(Schema)

    /// In OpenAPI 3.1, which is JSON Schema 2020-12.
    var json: JSON {
        switch self {
        case .string: .record(["type": .string("string")])
        case .number: .record(["type": .string("number")])
        case .integer: .record(["type": .string("integer")])
        case .boolean: .record(["type": .string("boolean")])
        case .word(let words): .record(["type": .string("string"), "enum": .array(words.map { .string($0) })])
        case .nullable(let schema): .record(["anyOf": .array([schema.json, .record(["type": .string("null")])])])
        case .array(let element): .record(["type": .string("array"), "items": element.json])
        case .map(let value): .record(["type": .string("object"), "additionalProperties": value.json])
        case .object(let members):
            .record([
                "type": .string("object"), "additionalProperties": .bool(false),
                "required": .array(members.map { .string($0.key) }),
                "properties": .object(members.map { JSON.Member($0.key, $0.value.json) }),
            ])
        }
    }
}
