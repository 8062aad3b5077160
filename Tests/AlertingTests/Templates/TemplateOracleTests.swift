import Alerting
import Foundation
import Metrics
import Runtime
import Testing

/// What Debian's promtool 2.42 made of the same templates.
@Suite struct TemplateOracleTests {
    private static let environment = TemplateEnvironment(now: 0) { query throws(TemplateFailure) in
        switch query {
        case "vector(3)": return [TemplateSample(labels: .none, value: 3)]
        case "vector(2.55)": return [TemplateSample(labels: .none, value: 2.55)]
        case "nope": return []
        case _ where query.hasPrefix("label_replace"):
            return [
                TemplateSample(labels: Labels(["a": "z"]), value: 1),
                TemplateSample(labels: Labels(["a": "b"]), value: 2),
            ]
        default: throw TemplateFailure("unexpected query \(query)")
        }
    }

    @Test(.enabled(if: SharedData.isPresent, SharedData.absence))
    func everyNumberIsPrintedByEveryFunctionAsPrometheusPrintsIt() throws {
        let templates = [
            "value": "{{ $value }}", "print": "{{ print $value }}", "humanize": "{{ $value | humanize }}",
            "humanize1024": "{{ $value | humanize1024 }}", "humanizeDuration": "{{ $value | humanizeDuration }}",
            "humanizePercentage": "{{ $value | humanizePercentage }}",
            "humanizeTimestamp": "{{ $value | humanizeTimestamp }}", "printf %v": #"{{ printf "%v" $value }}"#,
            "printf %.0f": #"{{ printf "%.0f" $value }}"#, "printf %.1f%%": #"{{ printf "%.1f%%" $value }}"#,
            "printf %.2f": #"{{ printf "%.2f" $value }}"#, "printf %.4g": #"{{ printf "%.4g" $value }}"#,
            "printf %f": #"{{ printf "%f" $value }}"#, "printf %d(bad)": #"{{ printf "%d" $value }}"#,
            "printf %s(bad)": #"{{ printf "%s" $value }}"#,
        ]
        var compared = 0
        let values = try #require(try SharedData.json("template_oracle_2.42.json")["values"]?.members)
        for member in values {
            let value = try #require(Double(member.key))
            let results = try #require(member.value.members)
            for result in results {
                let expected = try #require(result.value.string)
                let template = try #require(templates[result.key])
                // The alerts of the oracle were numbered, and errors name them.
                let number = expected.firstRange(of: "__alert_V").map {
                    expected[$0.upperBound...].prefix { $0.isNumber }
                }
                let text = Template.expandText(
                    template, name: "__alert_V\(number ?? "")", TemplateData(labels: .none, value: value),
                    in: Self.environment)
                #expect(text == expected, "\(template) of \(member.key)")
                compared += 1
            }
        }
        #expect(compared == 48 * 15)
    }

    @Test(.enabled(if: SharedData.isPresent, SharedData.absence))
    func everyTemplateYieldsWhatPrometheusYields() throws {
        let labels = Labels(["__name__": "foo", "a": "q", "b": "x y"])
        let templates = try #require(try SharedData.json("template_oracle_2.42.json")["templates"]?.members)
        for member in templates {
            let template = try #require(member.value["template"]?.string)
            let expected = try #require(member.value["output"]?.string)
            let text = Template.expandText(
                template, name: "__alert_X", TemplateData(labels: labels, value: 7), in: Self.environment)
            #expect(text == expected, "\(member.key): \(template)")
        }
        #expect(templates.count == 34)
    }
}
