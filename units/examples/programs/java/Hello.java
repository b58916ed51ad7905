// SPDX-License-Identifier: MIT-0

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetSocketAddress;

public class Hello {
        static void answer(HttpExchange exchange) throws IOException {
                String client = exchange.getRemoteAddress().getAddress().getHostAddress();
                byte[] body = ("Hello, " + client + "!\n").getBytes();

                System.out.println(client + " " + exchange.getRequestMethod() + " " + exchange.getRequestURI());
                exchange.sendResponseHeaders(200, body.length);
                try (OutputStream out = exchange.getResponseBody()) {
                        out.write(body);
                }
        }

        public static void main(String[] arguments) throws IOException {
                HttpServer server = HttpServer.create(new InetSocketAddress(80), 0);

                server.createContext("/", Hello::answer);
                server.start();
        }
}
