-- For wrk: posts the lines of a file in turn. wrk ... -s requests.lua URL -- FILE
local bodies, at = {}, 0

function init(args)
  for line in io.lines(args[1]) do bodies[#bodies + 1] = line end
end

function request()
  at = at % #bodies + 1
  return wrk.format("POST", nil, nil, bodies[at])
end
