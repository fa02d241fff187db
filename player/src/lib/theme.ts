/** Dark or light: as the system has it, or as the user chose. */

import { createStore, useStore } from './store'
import { recall, remember } from './memory'

export type Choice = 'system' | 'dark' | 'light'
const dark = matchMedia('(prefers-color-scheme: dark)')
const choice = createStore<Choice>(recall<Choice>('theme') ?? 'system')
const shown = createStore<'dark' | 'light'>('dark')

function apply(): void {
  const wanted = choice.get()
  const theme = wanted === 'system' ? (dark.matches ? 'dark' : 'light') : wanted
  document.documentElement.dataset['theme'] = theme
  shown.set(theme)
}

dark.addEventListener('change', apply)
apply()

export function choose(wanted: Choice): void {
  remember('theme', wanted === 'system' ? null : wanted)
  choice.set(wanted)
  apply()
}

export const useChoice = (): Choice => useStore(choice)
/** What is shown now: canvases paint again when it changes. */
export const useTheme = (): 'dark' | 'light' => useStore(shown)
