<?php
// The script of PHP's own web server: php -S 127.0.0.1:8080 server.php
//
// Each answer says "Connection: close".
parse_str($_SERVER['QUERY_STRING'] ?? '', $query);
$status = (int)($query['status'] ?? 200);
http_response_code($status);
if (intdiv($status, 100) == 3) {
	header('Location: /elsewhere');
}
$account = [
	'pid' => getmypid(), 'role' => 'server', 'method' => $_SERVER['REQUEST_METHOD'], 'target' => $_SERVER['REQUEST_URI'],
	'status' => $status, 'version' => substr($_SERVER['SERVER_PROTOCOL'], strlen('HTTP/')),
	// The address that it listens on is the local address.
	'local' => ['address' => $_SERVER['SERVER_NAME'], 'port' => (int)$_SERVER['SERVER_PORT']],
	'peer' => ['address' => $_SERVER['REMOTE_ADDR'], 'port' => (int)$_SERVER['REMOTE_PORT']],
];
file_put_contents('php://stdout', json_encode($account, JSON_UNESCAPED_SLASHES) . "\n");
if ($status != 204 && $_SERVER['REQUEST_METHOD'] != 'HEAD') {
	echo str_repeat('x', (int)($query['bytes'] ?? 6));
}
