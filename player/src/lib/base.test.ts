import { expect, it } from 'vitest'
import { folderOf, hrefOf, viewAt } from './base'

it.each([
  ['http://127.0.0.1:8000/icon.svg', '/'],
  ['https://example.org/stemwright/icon.svg', '/stemwright/'],
  ['https://example.org/music/a%20b/icon.svg', '/music/a%20b/'],
])('finds the folder of %s', (address, folder) => expect(folderOf(address)).toBe(folder))

it.each([
  ['/', '/', '/'],
  ['/songs/01a2', '/', '/songs/01a2'],
  ['/', '/stemwright/', '/stemwright/'],
  ['/add', '/stemwright/', '/stemwright/add'],
])('puts the view %s below %s, and finds it again', (view, base, href) => {
  expect(hrefOf(view, base)).toBe(href)
  expect(viewAt(href, base)).toBe(view)
})

it.each([
  ['/stemwright', '/'], // without the slash at its end
  ['/add', '/add'], // past the proxy
  ['/stemwrighter/add', '/stemwrighter/add'],
])('reads %s below /stemwright/', (path, view) => expect(viewAt(path, '/stemwright/')).toBe(view))
