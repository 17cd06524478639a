#include "base/secret.h"

#include <cstring>

namespace ee {

Secret::~Secret() {
    if (!value_.empty()) ::explicit_bzero(value_.data(), value_.size());
}

}  // namespace ee
