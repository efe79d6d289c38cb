# A web server on Puma, whose threads hand connections to each other: ruby puma.rb 127.0.0.1:8080
require "puma"
require "puma/server"
require "puma/minissl"
require_relative "account"

application = lambda do |environment|
  environment["rack.input"].read
  status, size, chunked = wanted(environment["QUERY_STRING"])
  report("server", environment["REQUEST_METHOD"], environment["REQUEST_URI"], status,
       environment["SERVER_PROTOCOL"].delete_prefix("HTTP/"), environment["puma.socket"])
  headers = {}
  headers["Location"] = "/elsewhere" if status / 100 == 3
  headers["Content-Length"] = size.to_s unless chunked || status == 204
  parts = status == 204 || environment["REQUEST_METHOD"] == "HEAD" ? [] : ["x" * (size / 2), "x" * (size - size / 2)]
  [status, headers, parts]
end

server = Puma::Server.new(application, Puma::Events.stdio, min_threads: 4, max_threads: 8)
if ENV.key?("TLS_CERTIFICATE")
  context = Puma::MiniSSL::Context.new
  context.cert = ENV["TLS_CERTIFICATE"]
  context.key = ENV["TLS_KEY"]
  server.add_ssl_listener(*split_address(ARGV[0]), context)
else
  server.add_tcp_listener(*split_address(ARGV[0]))
end
trap("TERM") { exit!(0) }
server.run.join
