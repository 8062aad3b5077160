import Metrics
import Testing

@testable import Alerting

@Suite struct MatcherTests {
    @Test(arguments: [
        (#"severity="page""#, #"severity="page""#), ("severity=page", #"severity="page""#),
        (#" a !~ "x|y" "#, #"a!~"x|y""#), ("a=~b.*", #"a=~"b.*""#), ("a!=", #"a!="""#), (#"a="""#, #"a="""#),
        (#"a="x\"y\\z\n\d""#, #"a="x\"y\\z\n\\d""#), (#""with space"="1""#, #"with space="1""#), ("a=b=c", #"a="b=c""#),
        ("a==b", #"a="=b""#),
    ]) func aMatcherIsReadInEverySpellingAlertmanagerTakes(_ text: String, _ canonical: String) throws {
        #expect(try Matcher(parsing: text).description == canonical)
    }

    @Test(arguments: [
        "", "a", "=b", "1a=b", #"a="b"#, #"a=b"c"#, #"a="b"c"#, "a~b", "a=~(", "{a=b", "a-b=c", #"a="b\""#,
    ])
    func whatIsNoMatcherIsRefused(_ text: String) {
        #expect(throws: MatcherError.self) { try Matcher(parsing: text) }
    }

    @Test func aListMayHaveBracesAndATrailingComma() throws {
        for text in [#"{a="b,}",c!~d}"#, #"a="b,}", c!~d"#, #"{ a="b,}" , c!~d , }"#] {
            #expect(try Matcher.list(parsing: text).text == #"{a="b,}",c!~"d"}"#)
        }
        #expect(try Matcher.list(parsing: "{}").isEmpty)
        #expect(try Matcher.list(parsing: "").isEmpty)
        for text in ["{", "}", "{,}", "{a=b", "a=b}", "a=b,,c=d}"] {
            #expect(throws: MatcherError.self, "\(text)") { try Matcher.list(parsing: text) }
        }
    }

    @Test func anAbsentLabelIsEmptyAndPatternsMatchTheWhole() throws {
        let labels = Labels(["a": "foobar"])
        #expect(try Matcher(parsing: "a=~foo.*").matches(labels))
        #expect(try !Matcher(parsing: "a=~foo").matches(labels))
        #expect(try Matcher(parsing: "a!~oo").matches(labels))
        #expect(try Matcher(parsing: "b=").matches(labels))
        #expect(try Matcher(parsing: "b=~.*").matches(labels))
        #expect(try !Matcher(parsing: "b!=").matches(labels))
    }
}

@Suite struct RouteTests {
    private func receivers(_ root: Route, _ labels: Labels) -> [String] {
        let tree = RouteTree(root)
        return tree.branches(for: labels).map { tree.branches[$0].route.receiver }
    }

    @Test func theFirstBranchThatMatchesTakesTheAlertUnlessItContinues() throws {
        var root = Route(receiver: "root")
        let team = try root.child(
            receiver: "team", matchers: [Matcher(parsing: "team=db")],
            routes: [
                root.child(receiver: "page", matchers: [Matcher(parsing: "severity=page")])
            ])
        root.routes = [
            try root.child(receiver: "audit", matchers: [Matcher(parsing: "audit=~.+")], continues: true), team,
            try root.child(receiver: "late", matchers: [Matcher(parsing: "team=~.+")]),
        ]
        #expect(receivers(root, Labels(["x": "1"])) == ["root"])
        #expect(receivers(root, Labels(["team": "db"])) == ["team"])
        #expect(receivers(root, Labels(["team": "db", "severity": "page"])) == ["page"])
        #expect(receivers(root, Labels(["team": "db", "audit": "yes"])) == ["audit", "team"])
        #expect(receivers(root, Labels(["team": "web"])) == ["late"])
        #expect(receivers(root, Labels(["audit": "yes"])) == ["audit"])
    }

    @Test func aChildInheritsWhatItIsNotTold() throws {
        let root = Route(receiver: "r", grouping: .by(["a"]), groupWait: .seconds(1), groupInterval: .seconds(2))
        let child = root.child(matchers: [], groupInterval: .seconds(9))
        #expect(child.receiver == "r" && child.grouping == .by(["a"]) && child.groupWait == .seconds(1))
        #expect(child.groupInterval == .seconds(9) && child.repeatInterval == Route.defaultRepeatInterval)
        let grandchild = child.child(receiver: "g", matchers: [])
        #expect(grandchild.receiver == "g" && grandchild.groupInterval == .seconds(9))
    }

    @Test func keysNameEveryMatcherOnTheWaySortedAndGroupsTheLabelsTheyHave() throws {
        var root = Route(receiver: "r", grouping: .by(["b", "a", "absent"]))
        root.routes = [root.child(matchers: [try Matcher(parsing: "z=1"), try Matcher(parsing: #"a=~"x\\d""#)])]
        let tree = RouteTree(root)
        let labels = Labels(["a": "x1", "b": "q\"", "z": "1"])
        let branch = try #require(tree.branches(for: Labels(["a": "x\\d", "z": "1"])).first)
        #expect(tree.branches[branch].key == "{}" || tree.branches[branch].key == #"{}/{a=~"x\\d",z="1"}"#)
        #expect(tree.groupLabels(of: labels, in: branch).goText == #"{a="x1", b="q\""}"#)
        #expect(tree.branches.map(\.key).sorted() == ["{}", #"{}/{a=~"x\\d",z="1"}"#])
        let all = RouteTree(Route(receiver: "r", grouping: .byAllLabels))
        #expect(all.groupLabels(of: labels, in: 0) == labels)
    }
}
