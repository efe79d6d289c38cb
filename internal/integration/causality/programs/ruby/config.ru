# An application for Puma; calls by Net::HTTP, over connections that lie in a queue, parallel ones in threads of their own.
require "net/http"

BACKEND = ENV.fetch("BACKEND").to_i
POOLED = ENV.fetch("STYLE") == "pooled"
CALLS = ENV.fetch("CALLS")
IDLE = Queue.new

def connection
  http = begin
    IDLE.pop(true)
  rescue ThreadError
    Net::HTTP.new("127.0.0.1", BACKEND).tap { |new| new.keep_alive_timeout = 60 }.start
  end
  answer = yield http
  POOLED ? IDLE << http : http.finish
  answer
end

def call_backend(id, k)
  connection { |http| http.get("/c/#{id}/#{k}", POOLED ? {} : { "Connection" => "close" }).body }
end

def answers(id)
  case CALLS
  when "delayed"
    sleep((1 + id.to_i % 5) / 1000.0)
    [call_backend(id, 0)]
  when "one" then [call_backend(id, 0)]
  when "parallel" then (0..2).map { |k| Thread.new { call_backend(id, k) } }.map(&:value)
  else (0..2).map { |k| call_backend(id, k) }
  end
end

run(lambda do |environment|
  body = answers(environment["PATH_INFO"].split("/").last).join(",")
  [200, { "Content-Type" => "text/plain", "Content-Length" => body.bytesize.to_s }, [body]]
end)
