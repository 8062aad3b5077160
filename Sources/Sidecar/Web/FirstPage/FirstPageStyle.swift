/// How the first page looks: one column on a phone, light and dark, a colour a level.
enum FirstPageStyle {
    static let css = """
        :root { --line: color-mix(in srgb, currentColor 18%, transparent) }
        .excellent { --level: light-dark(#1b7f3b, #57c878) }
        .good { --level: light-dark(#3f7d20, #9ccc65) }
        .fair { --level: light-dark(#8a6100, #e6b54a) }
        .poor { --level: light-dark(#b04a00, #ff9d5c) }
        .critical { --level: light-dark(#b00020, #ff7b86) }
        .unknown { --level: light-dark(#5f6368, #a8adb3) }
        body { font: 1rem/1.5 system-ui, sans-serif; margin: 0; background: light-dark(#fff, #14171a); color: light-dark(#1c1e21, #e6e8ea) }
        main { max-width: 62rem; margin: 0 auto; padding: 1rem }
        header { border-left: .5rem solid var(--level); padding: .25rem 1rem }
        h1 { margin: 0; font-size: 2.5rem; line-height: 1.1; color: var(--level); text-transform: capitalize }
        header p { margin: .25rem 0 0 }
        h2 { font-size: 1rem; margin: 1.75rem 0 .5rem }
        ul { list-style: none; margin: 0; padding: 0 }
        .chips { display: flex; flex-wrap: wrap; gap: .5rem; margin-top: 1rem }
        .chips li { border: 1px solid var(--level); border-radius: 1rem; padding: .1rem .75rem; color: var(--level) }
        .reasons li, .alerts li { border-left: .25rem solid var(--level, var(--line)); padding: .25rem .75rem; margin-bottom: .5rem; overflow-wrap: anywhere }
        .alerts span { opacity: .75 }
        .sparks { display: grid; grid-template-columns: repeat(auto-fill, minmax(13.5rem, 1fr)); gap: .75rem }
        @media (max-width: 30rem) { .sparks { grid-template-columns: 1fr 1fr; gap: .5rem } }
        figure { display: flex; flex-direction: column; justify-content: space-between; margin: 0; border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .75rem; min-width: 0 }
        figcaption { display: flex; justify-content: space-between; gap: .5rem; font-size: .9rem }
        figure b { white-space: nowrap }
        figure small { opacity: .7 }
        svg { display: block; width: 100%; height: 2.5rem }
        polyline { fill: none; stroke: light-dark(#2962a8, #7fb2ef); stroke-width: 1.5; vector-effect: non-scaling-stroke }
        nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin-top: 1.75rem }
        a { color: light-dark(#1a56a0, #8ab8f0) }
        footer { margin-top: 1rem; opacity: .7; font-size: .85rem }
        .stale main { opacity: .4 }
        """
}
