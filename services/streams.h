// The two ends of a stream as handlers see them.
#pragma once

#include <functional>

namespace omics::services {

// False when the client has sent everything, or is gone.
template <typename Request>
using Reader = std::function<bool(Request*)>;

// False when the client is gone.
template <typename Response>
using Writer = std::function<bool(const Response&)>;

}  // namespace omics::services
