/** What a stem plays: its colour, wherever it is shown. */

const ROLES = ['vocals', 'drums', 'bass', 'guitar', 'piano', 'other'] as const
export type Role = (typeof ROLES)[number] | 'rest'

const WORDS: readonly (readonly [Role, RegExp])[] = [
  ['rest', /^(no|not)[_ -]|less\b|instrumental|accompaniment|backing[_ -]?track|karaoke|minus/],
  ['vocals', /vo(c|x)|voice|sing|choir|lead v|acapella|a cappella|speech/],
  ['drums', /drum|perc|kick|snare|hi[_ -]?hat|cymbal|tom|beat/],
  ['bass', /bass|808|sub\b/],
  ['guitar', /guit|gtr|strings? guitar/],
  ['piano', /piano|keys|keyboard|rhodes|organ/],
]

/** The role of a stem by its name; `no_vocals` and its like are `rest`, what nothing fits is `other`. */
export function roleOf(name: string): Role {
  const plain = name.toLowerCase()
  return WORDS.find(([, words]) => words.test(plain))?.[0] ?? 'other'
}

/** The CSS colour of a stem. */
export const colourOf = (name: string): string => `var(--role-${roleOf(name)})`

/** Names of stems as UVR, audio-separator and others write them: `1_Song_(Vocals)`, `[Song] bass`, `Song - Drums`. */
const STEM = /^((no|lead|backing|main)[ _-])?(vocals?|drums?|bass|guitars?|piano|keys|synths?|strings|percussion|other|instrumental|accompaniment|karaoke)$/i

/** What a recording's stem is called, guessed from its file's name: `My Song - 03 Drums (24bit).wav` → `drums`. */
export function stemOfFile(file: string): string {
  const base = file.replace(/\.[^.]+$/, '').trim()
  const groups = [...base.matchAll(/[([{]([^()[\]{}]+)[)\]}]/g)].map(([, text = '']) => text.trim())
  const named = [base, ...groups.toReversed(), base.split(/\s-\s|__|\]/).at(-1)?.trim() ?? ''].find((part) => STEM.test(part))
  if (named) return named.toLowerCase().replaceAll(/[ -]/g, '_').replace(/^vocal$/, 'vocals').replace(/^drum$/, 'drums')
  const role = roleOf(partOf(file))
  return role === 'other' || role === 'rest' ? wordsOfFile(file) : role
}

/** The same in the file's own words: `My Song - 03 Kick In.wav` → `kick_in`. */
export function wordsOfFile(file: string): string {
  const words = partOf(file).toLowerCase().replaceAll(/[^\p{L}\p{N}]+/gu, '_').replaceAll(/^_+|_+$/g, '')
  return words.replace(/^\d{1,2}_(?=\p{L})/u, '').slice(0, 40) || 'other'
}

/** The end of a file's name, where stems are told apart. */
function partOf(file: string): string {
  const base = file.replace(/\.[^.]+$/, '')
  return base.split(/\s-\s|__/).at(-1) ?? base
}
