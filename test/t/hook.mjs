// A receiver of webhooks for tests: writes each request as a line of JSON to FILE, counts connections in FILE.connections,
// and prints its port. The path says what it does: /ok, /fail, /redirect, /hang, /die, /endless.
//   node test/t/hook.mjs FILE
import { appendFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'

const file = process.argv[2]
let connections = 0
writeFileSync(`${file}.connections`, '0\n')
writeFileSync(file, '')

const server = createServer((request, answer) => {
  let body = ''
  request.setEncoding('utf8').on('data', (text) => { body += text }).on('end', () => {
    appendFileSync(file, JSON.stringify({ method: request.method, path: request.url, headers: request.headers, body }) + '\n')
    if (request.url.startsWith('/fail')) answer.writeHead(500).end('secret of the server')
    else if (request.url.startsWith('/redirect')) answer.writeHead(307, { Location: `http://127.0.0.1:${server.address().port}/ok/redirected` }).end()
    else if (request.url.startsWith('/die')) request.socket.destroy()
    else if (request.url.startsWith('/endless')) {
      answer.writeHead(200)
      const timer = setInterval(() => answer.write('x'.repeat(65536)), 1)
      answer.on('close', () => clearInterval(timer))
    } else if (!request.url.startsWith('/hang')) answer.writeHead(204).end()
  })
})
server.on('connection', () => writeFileSync(`${file}.connections`, `${++connections}\n`))
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
