import Runtime

/// The description of the JSON pages that `GET /openapi.json` serves, made from the table of the pages themselves.
enum OpenAPI {
    static var document: JSON {
        .record([
            "openapi": .string("3.1.0"),
            "info": .record([
                "title": .string("Outrigger"), "version": .string(Outrigger.version),
                "description": .string("Health and performance of a service, its Postgres and its Redis."),
            ]),
            "paths": .object(
                HealthPages.all.map {
                    JSON.Member($0.path, .object([JSON.Member($0.method.lowercased(), operation($0))]))
                }),
        ])
    }

    private static func operation(_ page: HealthPages.Page) -> JSON {
        var responses = [JSON.Member("200", response(page, "As asked for."))]
        if page.isProbe { responses.append(JSON.Member("503", response(page, "The level is critical."))) }
        if page.method != "GET" {
            responses.append(JSON.Member("403", .record(["description": .string("Not a client on this machine.")])))
        }
        return .record([
            "operationId": .string(
                page.method.lowercased() + page.path.split(separator: "/").map { $0.capitalized }.joined()),
            "summary": .string(page.summary), "responses": .object(responses),
        ])
    }

    private static func response(_ page: HealthPages.Page, _ description: String) -> JSON {
        .record([
            "description": .string(description),
            "content": .record(["application/json": .record(["schema": page.answer.json])]),
        ])
    }
}

extension Substring {
    fileprivate var capitalized: String { prefix(1).uppercased() + dropFirst() }
}
