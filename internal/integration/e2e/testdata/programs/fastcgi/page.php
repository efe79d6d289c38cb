<?php
// Asks the server whose port its environment has, once, and answers with the status that the path names.
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
file_get_contents('http://127.0.0.1:' . getenv('BACKEND') . '/backend' . $path);
http_response_code((int) basename($path));
echo 'hello';
