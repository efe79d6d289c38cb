# A web server on WEBrick: ruby webrick.rb 127.0.0.1:8080
require "webrick"
require_relative "account"

class Servlet < WEBrick::HTTPServlet::AbstractServlet
  def service(request, response)
    request.body
    status, size, chunked = wanted(request.query_string)
    # WEBrick has the socket, and hands out its addresses only.
    socket = request.instance_variable_get(:@socket)
    report("server", request.request_method, request.unparsed_uri, status, request.http_version.to_s, socket)
    response.status = status
    response["Location"] = "/elsewhere" if status / 100 == 3
    response.chunked = chunked
    response.body = "x" * size unless status == 204
  end
end

host, port = split_address(ARGV[0])
server = WEBrick::HTTPServer.new(BindAddress: host, Port: port, AccessLog: [],
                                 Logger: WEBrick::Log.new($stderr, WEBrick::Log::WARN))
server.mount("/", Servlet)
trap("TERM") { server.shutdown }
server.start
