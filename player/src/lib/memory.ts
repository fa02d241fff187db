/** What this browser remembers; where it may not (private windows, full storage), it forgets in silence. */

const PREFIX = 'stemwright:'

export function recall<T>(key: string): T | null {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + key) ?? 'null') as T | null
  } catch {
    return null
  }
}

export function remember(key: string, value: unknown): void {
  try {
    if (value === null) localStorage.removeItem(PREFIX + key)
    else localStorage.setItem(PREFIX + key, JSON.stringify(value))
  } catch {
    // nothing depends on it
  }
}
