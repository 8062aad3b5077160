import Network
import Runtime

/// `GET /graph`: an expression as a table and as a drawing, where the links of alerts lead. It takes Prometheus' own
/// parameters, `g0.expr` and `g0.range_input`, and asks `/api/v1/`; nothing is loaded from elsewhere.
enum GraphPage {
    static func answer(_ request: HTTPRequest) -> HTTPResponse {
        HTTPResponse(
            headers: [
                ("Content-Type", "text/html; charset=utf-8"),
                (
                    "Content-Security-Policy",
                    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"
                ),
            ], body: Array(page.utf8))
    }

    /// Whatever comes from outside reaches the page as text, never as markup: `textContent` and `setAttribute` only.
    private static let page = """
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <title>Query · Outrigger</title>
        <style>
        body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 1rem auto; padding: 0 1rem }
        form { display: flex; flex-wrap: wrap; gap: .5rem }
        textarea { flex: 1 1 100%; min-height: 4.5rem; font: .9rem ui-monospace, monospace; box-sizing: border-box }
        svg { width: 100%; height: auto; margin: 1rem 0; border-bottom: 1px solid currentColor }
        polyline { fill: none; stroke-width: 1.5; vector-effect: non-scaling-stroke }
        table { border-collapse: collapse; width: 100%; font: .85rem ui-monospace, monospace }
        td { padding: .2rem .5rem; border-top: 1px solid color-mix(in srgb, currentColor 25%, transparent); overflow-wrap: anywhere }
        td:last-child { text-align: right; white-space: nowrap }
        #problem { color: light-dark(#a40000, #ff8a80) }
        </style>
        </head>
        <body>
        <p><a href="/">Outrigger</a></p>
        <form>
        <textarea name="g0.expr" aria-label="PromQL expression" spellcheck="false"></textarea>
        <label>over the last <select name="g0.range_input">
        <option>5m</option><option>15m</option><option selected>1h</option><option>6h</option><option>1d</option>
        </select></label>
        <button>Ask</button>
        </form>
        <p id="problem" role="alert"></p>
        <figure style="margin:0"><svg viewBox="0 0 600 200" preserveAspectRatio="none" role="img" aria-label="Values over time"></svg><figcaption></figcaption></figure>
        <table></table>
        <script>
        const given = new URLSearchParams(location.search), form = document.forms[0]
        const expression = given.get('g0.expr') ?? '', range = given.get('g0.range_input') ?? '1h'
        form[0].value = expression
        if (![...form[1].options].some(option => option.value === range)) form[1].add(new Option(range))
        form[1].value = range
        const units = { s: 1, m: 60, h: 3600, d: 86400, w: 604800 }
        const seconds = [...range.matchAll(/(\\d+)([smhdw])/g)].reduce((sum, part) => sum + part[1] * units[part[2]], 0) || 3600
        const shown = number => Number.isFinite(number) ? String(+number.toPrecision(6)) : String(number)
        function name(metric) {
          const labels = Object.entries(metric).filter(([key]) => key !== '__name__').map(([key, value]) => `${key}=${JSON.stringify(value)}`)
          return (metric.__name__ ?? '') + (labels.length ? `{${labels.join(', ')}}` : '')
        }
        async function ask(path, parameters) {
          const answer = await (await fetch(path + '?' + new URLSearchParams(parameters))).json()
          if (answer.status !== 'success') throw new Error(answer.error)
          return answer.data
        }
        function table(data) {
          const rows = data.resultType === 'vector' ? data.result.map(one => [name(one.metric), one.value[1]])
            : data.resultType === 'matrix' ? data.result.map(one => [name(one.metric), one.values.at(-1)?.[1] ?? '']) : [['', data.result[1]]]
          for (const row of rows.length ? rows : [['matches no series', '']]) {
            const line = document.querySelector('table').insertRow()
            for (const text of row) line.insertCell().textContent = text
          }
        }
        function draw(result, start, end) {
          const series = result.map(one => one.values.map(([time, value]) => [time, +value]).filter(([, value]) => Number.isFinite(value)))
          const values = series.flat().map(([, value]) => value)
          if (!values.length) return
          let low = values.reduce((a, b) => Math.min(a, b)), high = values.reduce((a, b) => Math.max(a, b))
          const caption = `${shown(low)} to ${shown(high)}, ${new Date(start * 1000).toLocaleString()} to ${new Date(end * 1000).toLocaleString()}`
          document.querySelector('figcaption').textContent = caption
          if (low === high) { low -= 1; high += 1 }
          series.forEach((points, index) => {
            const line = document.createElementNS('http://www.w3.org/2000/svg', 'polyline')
            line.setAttribute('points', points.map(([time, value]) => `${600 * (time - start) / (end - start)},${195 - 190 * (value - low) / (high - low)}`).join(' '))
            line.setAttribute('stroke', `hsl(${index * 137 % 360} 70% 50%)`)
            const title = document.createElementNS('http://www.w3.org/2000/svg', 'title')
            title.textContent = name(result[index].metric)
            line.append(title)
            document.querySelector('svg').append(line)
          })
        }
        async function show() {
          const end = Date.now() / 1000, start = end - seconds
          table(await ask('/api/v1/query', { query: expression, time: end }))
          const data = await ask('/api/v1/query_range', { query: expression, start, end, step: Math.max(1, Math.round(seconds / 300)) })
          draw(data.result.slice(0, 100), start, end)
        }
        if (expression) show().catch(error => { document.querySelector('#problem').textContent = error.message })
        </script>
        </body>
        </html>

        """
}
