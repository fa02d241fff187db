/** Lengths of time that fit into a table. */

const UNITS: readonly [number, string][] = [
  [86_400, 'd'],
  [3_600, 'h'],
  [60, 'min'],
]

/** Seconds as `42 s`, `3 min`, `5 h` or `2 d`: rounded down, in the largest unit. */
export function short(seconds: number): string {
  const [size, unit] = UNITS.find(([least]) => seconds >= least) ?? [1, 's']
  return `${Math.floor(seconds / size)} ${unit}`
}
