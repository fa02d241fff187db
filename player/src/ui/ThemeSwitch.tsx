/** Goes through the colours: as the system has them, dark, light. */

import { Monitor, Moon, Sun } from 'lucide-react'
import { choose, useChoice, type Choice } from '../lib/theme'
import { Key } from './controls'

const NEXT: Record<Choice, Choice> = { system: 'dark', dark: 'light', light: 'system' }
const CHOICES: Record<Choice, [string, typeof Sun]> = {
  system: ['as the system', Monitor],
  dark: ['dark', Moon],
  light: ['light', Sun],
}

export function ThemeSwitch() {
  const choice = useChoice()
  const [text, Icon] = CHOICES[choice]
  return (
    <Key aria-label={`Colours: ${text}`} title={`Colours: ${text}`} onClick={() => choose(NEXT[choice])}>
      <Icon size={18} aria-hidden />
    </Key>
  )
}
