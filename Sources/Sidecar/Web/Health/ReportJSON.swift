import Alerting
import Runtime

extension ComponentReport {
    static let schema = Schema.object([
        "name": .string, "level": .word(PerformanceLevel.allCases.map(\.rawValue)), "level_code": .integer,
        "score": .nullable(.number), "since": .string,
        "current_level": .word(PerformanceLevel.allCases.map(\.rawValue)), "held_until": .nullable(.string),
        "trend": .word(PerformanceTrend.allCases.map(\.rawValue)),
        "reasons": .array(PerformanceReason.schema),
        "time_to_limit_seconds": .map(.number), "annotations": .array(.string),
    ])

    var json: JSON {
        .record([
            "name": .string(name), "level": .string(level.rawValue), "level_code": .integer(Int64(level.code)),
            "score": score.map { .number($0) } ?? .null, "since": .string("\(since)"),
            "current_level": .string(current.rawValue), "held_until": heldUntil.map { .string("\($0)") } ?? .null,
            "trend": .string(trend.rawValue),
            "reasons": .array(reasons.map(\.json)),
            "time_to_limit_seconds": .object(limits.map { JSON.Member($0.resource, .number($0.seconds)) }),
            "annotations": .array(annotations.map { .string($0) }),
        ])
    }
}

extension PerformanceReason {
    static let schema = Schema.object([
        "indicator": .string, "level": .word(PerformanceLevel.allCases.map(\.rawValue)), "value": .number,
        "unit": .string, "threshold": .number, "since": .string, "advice": .string,
    ])

    var json: JSON {
        .record([
            "indicator": .string(indicator), "level": .string(level.rawValue), "value": .number(value),
            "unit": .string(unit), "threshold": .number(threshold), "since": .string("\(since)"),
            "advice": .string(advice),
        ])
    }
}
