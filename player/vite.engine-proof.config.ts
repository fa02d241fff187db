/** Builds the page of the audio proof (tests/player/test_engine*.py) just as the player is built. */

import { mergeConfig } from 'vite'
import player from './vite.config'

export default mergeConfig(player, {
  base: '/engine-proof/',
  publicDir: false,
  build: { rolldownOptions: { input: 'engine-proof.html' }, emptyOutDir: true },
})
