#pragma once
// A server whose answers are written beforehand, for tests of what asks it.

#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include "net/tls.h"

namespace ee::cli {

// Answers one connection for each scripted response, in order, and remembers the requests.
class ScriptedServer {
public:
    explicit ScriptedServer(std::vector<std::string> responses,
                            std::shared_ptr<const net::TlsContext> tls = nullptr)
        : tls_(std::move(tls)) {
        listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        EXPECT_EQ(::listen(listener_, 8), 0);
        socklen_t size = sizeof address;
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
        port_ = ntohs(address.sin_port);
        thread_ = std::thread([this, responses = std::move(responses)] {
            for (const std::string& response : responses) serve(response);
        });
    }
    ~ScriptedServer() {
        ::shutdown(listener_, SHUT_RDWR);
        thread_.join();
        ::close(listener_);
    }
    ScriptedServer(const ScriptedServer&) = delete;
    ScriptedServer& operator=(const ScriptedServer&) = delete;

    std::string url(const std::string& scheme = "http") const {
        return scheme + "://127.0.0.1:" + std::to_string(port_);
    }
    std::vector<std::string> requests() const {
        const std::lock_guard lock(mutex_);
        return requests_;
    }

private:
    void remember(std::string request) {
        const std::lock_guard lock(mutex_);
        requests_.push_back(std::move(request));
    }

    void serve(const std::string& response) {
        const int fd = ::accept(listener_, nullptr, nullptr);
        if (fd < 0) return;
        std::string request(8192, '\0');
        if (tls_) {
            SSL* ssl = SSL_new(tls_->native());
            SSL_set_fd(ssl, fd);
            if (SSL_accept(ssl) == 1) {
                const int size = SSL_read(ssl, request.data(), static_cast<int>(request.size()));
                remember(request.substr(0, static_cast<std::size_t>(std::max(size, 0))));
                SSL_write(ssl, response.data(), static_cast<int>(response.size()));
                SSL_shutdown(ssl);
            }
            SSL_free(ssl);
        } else {
            const ssize_t size = ::recv(fd, request.data(), request.size(), 0);
            remember(request.substr(0, static_cast<std::size_t>(std::max<ssize_t>(size, 0))));
            EXPECT_EQ(::send(fd, response.data(), response.size(), MSG_NOSIGNAL),
                      static_cast<ssize_t>(response.size()));
        }
        ::close(fd);
    }

    std::shared_ptr<const net::TlsContext> tls_;
    int listener_ = -1;
    std::uint16_t port_ = 0;
    mutable std::mutex mutex_;
    std::vector<std::string> requests_;
    std::thread thread_;
};

inline std::string ok(const std::string& json) {
    return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " +
           std::to_string(json.size()) + "\r\n\r\n" + json;
}

}  // namespace ee::cli
