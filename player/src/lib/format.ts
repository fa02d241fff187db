/** Numbers and names as people read them. */

/** Seconds as `3:05`, or `1:02:09` from an hour on; with tenths as `3:05.2`. */
export function clock(seconds: number, tenths = false): string {
  const step = tenths ? 10 : 1
  const units = Math.max(0, Math.floor(seconds * step + 1e-6))
  const whole = Math.floor(units / step)
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60]
  const end = `${String(s).padStart(2, '0')}${tenths ? `.${units % 10}` : ''}`
  return h ? `${h}:${String(m).padStart(2, '0')}:${end}` : `${m}:${end}`
}

/** A length of time in words: `a few seconds`, `40 seconds`, `about 3 minutes`. */
export function lasting(seconds: number): string {
  if (seconds < 8) return 'a few seconds'
  if (seconds < 55) return `${Math.round(seconds / 5) * 5} seconds`
  if (seconds < 90) return 'about a minute'
  if (seconds < 3300) return `about ${Math.round(seconds / 60)} minutes`
  const hours = Math.round(seconds / 1800) / 2
  return hours === 1 ? 'about an hour' : `about ${hours} hours`
}

/** The same, short, for a counter that runs: `12 s left`, `3 min left`. */
export function left(seconds: number): string {
  if (seconds < 1) return 'nearly done'
  return seconds < 90 ? `${Math.ceil(seconds)} s left` : `${Math.round(seconds / 60)} min left`
}

/** Bytes as `6.1 MB`. */
export function bytes(count: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB']
  let [value, unit] = [count, 0]
  while (value >= 999.5 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1]
  return `${unit === 0 || value >= 100 ? Math.round(value) : Number(value.toPrecision(2))} ${units[unit]}`
}

/** A number with its sign, and a true minus: `−3.5`, `+2`, `0`; one decimal. */
export function signed(value: number): string {
  const rounded = Math.round(value * 10) / 10
  return `${rounded > 0 ? '+' : rounded < 0 ? '−' : ''}${Math.abs(rounded)}`
}

/** A fader's decibels as `−3.5 dB`; the lowest that it goes to is silence. */
export function decibels(db: number): string {
  return db <= SILENT ? '−∞ dB' : `${signed(db)} dB`
}

/** A fader's lowest value, dB. */
export const SILENT = -60

/** Where a stem sits: `centre`, `30 % left`. */
export function panned(pan: number): string {
  const percent = Math.round(Math.abs(pan) * 100)
  return percent === 0 ? 'centre' : `${percent} % ${pan < 0 ? 'left' : 'right'}`
}

/** A stem's or lane's name for people: `no_vocals` → `No vocals`. */
export function label(name: string): string {
  const text = name.replaceAll('_', ' ')
  return text.charAt(0).toUpperCase() + text.slice(1)
}

/** `1 song`, `2 songs`. */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}

/** Names as `a, b and c`. */
export function listed(names: readonly string[]): string {
  return names.length < 2 ? (names[0] ?? '') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`
}

/** A key as musicians write it: `B minor` → `Bm`. */
export function shortKey(name: string): string {
  const [tonic = '', mode] = name.split(' ')
  return `${tonic.replace('#', '♯').replace(/(?<=.)b/, '♭')}${mode === 'minor' ? 'm' : ''}`
}
